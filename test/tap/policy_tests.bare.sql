-- The test file that docs/policy-tests.md shows block by block, as it stands there; the plan is the page's. As on
-- Supabase: postgres is no superuser, and makes the extension.
SET client_min_messages = warning;
SET SESSION AUTHORIZATION postgres;
CREATE EXTENSION pattyly;
-- \140 is the grave accent, which psql would take for its own.
\set page `awk '/^\140\140\140sql$/ { sql = 1; next } /^\140\140\140$/ { sql = 0 } sql' docs/policy-tests.md`
:page
