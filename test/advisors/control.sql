-- What is wrong and must be found, or else finding nothing says nothing. Run as supabase_admin, after app.sql.
SET ROLE postgres;

CREATE TABLE public.open_to_all (id bigint PRIMARY KEY);

CREATE TABLE public.asks_for_each_row (id uuid PRIMARY KEY);
ALTER TABLE public.asks_for_each_row ENABLE ROW LEVEL SECURITY;
CREATE POLICY bare ON public.asks_for_each_row FOR SELECT TO authenticated USING (id = auth.uid());

-- Beside one of protect()'s.
CREATE POLICY another ON public.notes FOR SELECT TO authenticated USING (body = 'public');

-- After protect(), which was to be run again.
CREATE TABLE public.visits_2027 PARTITION OF public.visits FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');

CREATE FUNCTION public.careless() RETURNS integer LANGUAGE sql AS 'SELECT 1';

-- The schema of the extension is looked at as well.
RESET ROLE;
CREATE TABLE pattyly.stray (id bigint PRIMARY KEY);
GRANT SELECT ON pattyly.stray TO anon;
