-- A small application as one finds it on Supabase, and the limits its administrator gives it. Run as postgres.

CREATE TABLE public.messages (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	author uuid DEFAULT auth.uid(),
	body text NOT NULL CHECK (body <> ''),
	created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE public.messages ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody_reads ON public.messages FOR SELECT TO anon, authenticated USING (true);
CREATE POLICY everybody_writes ON public.messages FOR INSERT TO anon, authenticated
	WITH CHECK (author IS NOT DISTINCT FROM (SELECT auth.uid()));
CREATE POLICY authors_change ON public.messages FOR UPDATE TO authenticated USING (author = (SELECT auth.uid()));
GRANT SELECT, INSERT, UPDATE ON public.messages TO anon, authenticated;
INSERT INTO public.messages (body) VALUES ('Bonjour');

-- Not limited by any route.
CREATE TABLE public.notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text);
ALTER TABLE public.notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody_reads ON public.notes FOR SELECT TO anon, authenticated USING (true);
GRANT SELECT ON public.notes TO anon, authenticated;

CREATE FUNCTION public.contact(name text, message text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	IF message = '' THEN
		RAISE EXCEPTION 'the message is empty' USING ERRCODE = 'check_violation';
	END IF;
	RETURN 'Merci, ' || name;
END
$$;

CREATE FUNCTION public.login(email text, password text) RETURNS boolean LANGUAGE sql VOLATILE AS $$
	SELECT password = 'right'
$$;

-- Called with GET as well.
CREATE FUNCTION public.quote_price(product text) RETURNS integer LANGUAGE sql STABLE AS 'SELECT length(product)';

-- What the session that serves a request sees; every connection of a pool is asked at once.
CREATE FUNCTION public.setting_here(name text) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT current_setting(name) FROM pg_sleep(0.05)
$$;

-- An application that counts by what only it knows: the account a letter goes to.
CREATE FUNCTION public.forgot_password(email text) RETURNS text
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM set_config('response.headers', '[{"X-Application": "kept"}]', true);
	PERFORM pattyly.enforce_limit('forgot-password', lower(email));
	RETURN 'sent';
END
$$;

-- An application with a pre-request function of its own calls ours from it.
CREATE FUNCTION public.before_request() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('response.headers', '[{"X-Application": "kept"}, {"Set-Cookie": "a=1"}, {"Set-Cookie": "b=2"}]', true);
	PERFORM pattyly.pre_request();
END
$$;
REVOKE EXECUTE ON FUNCTION public.setting_here(text), public.before_request(), public.forgot_password(text),
	public.contact(text, text), public.login(text, text), public.quote_price(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.setting_here(text), public.before_request(), public.forgot_password(text),
	public.contact(text, text), public.login(text, text), public.quote_price(text)
	TO anon, authenticated, service_role;

CREATE EXTENSION pattyly;
SELECT pattyly.grant_api() \g (format=unaligned tuples_only) /dev/null
SELECT pattyly.load_preset('web-forms'), pattyly.load_preset('api') \g /dev/null
