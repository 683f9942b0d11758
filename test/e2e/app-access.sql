-- Clients, the experts who look after them, and the messages between them. Run as postgres, after app.sql.

CREATE TABLE public."Client" (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	name text NOT NULL,
	email text,
	created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON public."Client" (created_at);

-- Its own id is what "client_id = id" means in a policy that does not say whose id it asks for.
CREATE TABLE public.expertassignment (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	expert_id uuid NOT NULL,
	client_id uuid NOT NULL REFERENCES public."Client" ON DELETE CASCADE,
	status text NOT NULL DEFAULT 'active'
);

CREATE TABLE public.client_messages (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	client_id uuid NOT NULL REFERENCES public."Client" ON DELETE CASCADE,
	author uuid DEFAULT pattyly.uid(),
	body text NOT NULL
);

-- 2,000 clients. lib/people.mjs knows Cleo, Ada and Ben by their ids; Ada is a client as well.
INSERT INTO public."Client" (id, name, email, created_at)
SELECT md5('client ' || n)::uuid, 'Client ' || n, n || '@example.com', timestamptz '2026-01-01' + n * interval '1 minute'
FROM generate_series(1, 1998) AS n;
INSERT INTO public."Client" (id, name, email, created_at) VALUES
	('5f0c1a7e-ac00-4000-8000-0000000000c1', 'Cleo', 'cleo@example.com', '2026-02-02'),
	('5f0c1a7e-ac00-4000-8000-0000000000a1', 'Ada', 'ada@example.com', '2026-02-03');

-- Ada has 50 clients and had 20 more; 10 clients are Ben's as well. Cleo is Ben's, and was Ada's.
INSERT INTO public.expertassignment (expert_id, client_id, status)
SELECT '5f0c1a7e-ac00-4000-8000-0000000000a1'::uuid, md5('client ' || n)::uuid,
	CASE WHEN n <= 50 THEN 'active' ELSE 'inactive' END
FROM generate_series(1, 70) AS n
UNION ALL
SELECT '5f0c1a7e-ac00-4000-8000-0000000000b1', md5('client ' || n)::uuid, 'active' FROM generate_series(41, 70) AS n
UNION ALL
VALUES ('5f0c1a7e-ac00-4000-8000-0000000000b1'::uuid, '5f0c1a7e-ac00-4000-8000-0000000000c1'::uuid, 'active'),
	('5f0c1a7e-ac00-4000-8000-0000000000a1', '5f0c1a7e-ac00-4000-8000-0000000000c1', 'inactive');
-- Somebody else's, with an id that is its client's.
INSERT INTO public.expertassignment (id, expert_id, client_id)
SELECT md5('client ' || n)::uuid, md5('expert ' || n % 7)::uuid, md5('client ' || n)::uuid
FROM generate_series(100, 1998) AS n;

INSERT INTO public.client_messages (client_id, author, body)
SELECT id, id, 'Hello from ' || name FROM public."Client";
ANALYZE public."Client", public.expertassignment, public.client_messages;

SELECT pattyly.define_relation('client', 'public.expertassignment', 'expert_id', 'client_id',
	filter => 'status = ''active''', include_self => true) \g /dev/null

-- Who is assigned to a client may read and change him; nobody but himself makes or removes him. The indexes that this
-- needs are made, too.
SELECT pattyly.protect('public."Client"', relation => 'client', object_column => 'id', commands => '{select,update}')
\g /dev/null
SELECT pattyly.protect('public."Client"', owner_column => 'id', commands => '{insert,delete}') \g /dev/null
SELECT pattyly.protect('public.client_messages', relation => 'client', object_column => 'client_id',
	commands => '{all}') \g /dev/null

-- Who is assigned to whom is nobody's business: the API roles have every privilege and no policy.
ALTER TABLE public.expertassignment ENABLE ROW LEVEL SECURITY;

-- What the application asks in functions of its own.
CREATE FUNCTION public.whoami() RETURNS jsonb LANGUAGE sql STABLE SET search_path = '' AS $$
	SELECT pg_catalog.jsonb_build_object('uid', pattyly.uid(), 'auth_uid', auth.uid(), 'role', pattyly.role(),
		'email', pattyly.email(), 'tenant', pattyly.claim('app_metadata.tenant'),
		'manager', pattyly.has_claim('app_metadata.roles', 'manager'), 'anonymous', pattyly.is_anonymous(),
		'keys', pg_catalog.cardinality(pattyly.accessible_uuids('client')))
$$;

CREATE FUNCTION public.my_clients() RETURNS SETOF public."Client" LANGUAGE sql STABLE AS $$
	SELECT * FROM public."Client" WHERE id = ANY (pattyly.accessible_uuids('client'))
$$;

-- Past the row policies; what it counts is the caller's all the same.
CREATE FUNCTION public.my_messages() RETURNS bigint
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT count(*) FROM public.client_messages WHERE pattyly.has_access('client', client_id)
$$;

-- An application where experts help themselves. One transaction: before and after.
CREATE FUNCTION public.take_client(client uuid) RETURNS boolean[]
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	before boolean := pattyly.has_access('client', client);
BEGIN
	INSERT INTO public.expertassignment (expert_id, client_id) VALUES (pattyly.uid(), client);
	RETURN ARRAY[before, pattyly.has_access('client', client)];
END
$$;

CREATE FUNCTION public.manage(what text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF pattyly.has_claim('app_metadata.roles', 'manager') IS NOT TRUE THEN
		RAISE EXCEPTION 'managers only' USING ERRCODE = 'insufficient_privilege';
	END IF;
	RETURN 'done: ' || what;
END
$$;

-- Which session served a request.
CREATE FUNCTION public.session_here() RETURNS integer LANGUAGE sql VOLATILE AS 'SELECT pg_catalog.pg_backend_pid()';
