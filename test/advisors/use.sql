-- What an expert sees of each table, which is what the indexes are for. Run as authenticator, as PostgREST does it.
BEGIN;
SET LOCAL ROLE authenticated;
SELECT set_config('request.jwt.claims', json_build_object('role', 'authenticated', 'sub', md5('expert 7')::uuid)::text, true)
\g /dev/null
SELECT 'Client', count(*) FROM public."Client"
UNION ALL SELECT 'expertassignment', count(*) FROM public.expertassignment
UNION ALL SELECT 'client_messages', count(*) FROM public.client_messages
UNION ALL SELECT 'notes', count(*) FROM public.notes
UNION ALL SELECT 'visits', count(*) FROM public.visits
UNION ALL SELECT 'documents', count(*) FROM public.documents
UNION ALL SELECT 'invoices', count(*) FROM public.invoices;
COMMIT;

-- The foreign key's index, which no policy asks for.
BEGIN;
SET LOCAL ROLE service_role;
SELECT 'experts of a client', count(*) FROM public.expertassignment WHERE client_id = md5('client 6')::uuid;
COMMIT;

-- The statistics arrive when this statement is done, and not when the session's last second is over.
SELECT pg_stat_force_next_flush() \g /dev/null
