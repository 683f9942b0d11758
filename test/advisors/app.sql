-- An application that the advisors would praise, but for the policies it lacks and the indexes on what the policies ask
-- for. Run as postgres. A table for each thing that protect() treats in a way of its own.

CREATE TABLE public."Client" (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	name text NOT NULL
);

-- The index is its foreign key's; the policies ask for experts first, and protect() makes the one for that.
CREATE TABLE public.expertassignment (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	expert_id uuid NOT NULL,
	client_id uuid NOT NULL REFERENCES public."Client" ON DELETE CASCADE,
	status text NOT NULL DEFAULT 'active'
);
CREATE INDEX ON public.expertassignment (client_id);

CREATE TABLE public.client_messages (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	client_id uuid NOT NULL REFERENCES public."Client" ON DELETE CASCADE,
	body text NOT NULL
);

CREATE TABLE public.notes (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	owner_id uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE,
	body text NOT NULL
);

CREATE TABLE public.visits (
	id bigint GENERATED ALWAYS AS IDENTITY,
	client_id uuid NOT NULL REFERENCES public."Client" ON DELETE CASCADE,
	visited_at timestamptz NOT NULL,
	PRIMARY KEY (id, visited_at)
) PARTITION BY RANGE (visited_at);
CREATE TABLE public.visits_2025 PARTITION OF public.visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE public.visits_2026 PARTITION OF public.visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

CREATE TABLE public.documents (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	client_id uuid NOT NULL REFERENCES public."Client" ON DELETE CASCADE
);
CREATE TABLE public.letters (
	postage integer NOT NULL DEFAULT 85,
	PRIMARY KEY (id),
	FOREIGN KEY (client_id) REFERENCES public."Client" ON DELETE CASCADE
) INHERITS (public.documents);

CREATE TABLE public.invoices (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	owner_id uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE,
	client_id uuid NOT NULL REFERENCES public."Client" ON DELETE CASCADE
);

-- 2,000 clients, 50 experts with 40 clients each, and 2 rows for each client in each table.
INSERT INTO auth.users (id, email) SELECT md5('expert ' || n)::uuid, n || '@example.com' FROM generate_series(1, 50) AS n;
INSERT INTO public."Client" (id, name) SELECT md5('client ' || n)::uuid, 'Client ' || n FROM generate_series(1, 2000) AS n;
CREATE TEMPORARY VIEW twice AS
SELECT md5('client ' || n)::uuid AS client_id, md5('expert ' || n % 50 + 1)::uuid AS expert_id, half
FROM generate_series(1, 2000) AS n CROSS JOIN generate_series(0, 1) AS half;
INSERT INTO public.expertassignment (client_id, expert_id) SELECT client_id, expert_id FROM twice WHERE half = 0;
INSERT INTO public.client_messages (client_id, body) SELECT client_id, 'Hello' FROM twice;
INSERT INTO public.notes (owner_id, body) SELECT expert_id, 'Note' FROM twice;
INSERT INTO public.visits (client_id, visited_at) SELECT client_id, timestamptz '2025-06-01' + half * interval '1 year' FROM twice;
INSERT INTO public.documents (client_id) SELECT client_id FROM twice;
INSERT INTO public.letters (client_id) SELECT client_id FROM twice;
-- Half of them are of clients, and the other half their experts'.
INSERT INTO public.invoices (owner_id, client_id)
SELECT md5('expert ' || (n + half) % 50 + 1)::uuid, md5('client ' || n)::uuid
FROM generate_series(1, 2000) AS n CROSS JOIN generate_series(0, 1) AS half;

CREATE EXTENSION pattyly;
SELECT pattyly.grant_api() \g /dev/null
SELECT pattyly.define_relation('client', 'public.expertassignment', 'expert_id', 'client_id',
	filter => 'status = ''active''', include_self => true) \g /dev/null

SELECT pattyly.protect('public."Client"', relation => 'client', object_column => 'id', commands => '{select,update}')
\g /dev/null
SELECT pattyly.protect('public."Client"', owner_column => 'id', commands => '{insert,delete}') \g /dev/null
SELECT pattyly.protect('public.expertassignment', owner_column => 'expert_id') \g /dev/null
SELECT pattyly.protect('public.client_messages', relation => 'client', object_column => 'client_id', commands => '{all}')
\g /dev/null
SELECT pattyly.protect('public.notes', owner_column => 'owner_id', commands => '{all}') \g /dev/null
SELECT pattyly.protect('public.visits', relation => 'client', object_column => 'client_id', commands => '{all}')
\g /dev/null
SELECT pattyly.protect('public.documents', relation => 'client', object_column => 'client_id', commands => '{all}')
\g /dev/null
SELECT pattyly.protect('public.invoices', owner_column => 'owner_id', relation => 'client', object_column => 'client_id',
	commands => '{all}') \g /dev/null

VACUUM (ANALYZE) public."Client", public.expertassignment, public.client_messages, public.notes, public.visits,
	public.documents, public.letters, public.invoices;
