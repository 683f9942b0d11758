# Relations and policies beyond one session: dumped and restored, on a hot standby, and under many sessions that change
# whose they are with every transaction while assignments come and go.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_server('access');
my $file = $node->basedir . '/dump';

# Expert n has the clients n, n + 100, n + 200 ...; "shared" comes and goes.
at($node, undef, q{
	CREATE ROLE owner; CREATE ROLE expert; CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO expert, owner;
	CREATE FUNCTION app.e(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT ('00000000-0000-0000-0000-e' || lpad(n::text, 11, '0'))::uuid $$;
	CREATE TABLE app.client (id integer PRIMARY KEY, owner integer);
	CREATE TABLE app.assigned (expert_id uuid, client_id integer, status text DEFAULT 'active');
	CREATE TABLE app.suspended (client_id integer);
	INSERT INTO app.client SELECT i, i % 100 FROM generate_series(1, 20000) AS i;
	INSERT INTO app.assigned SELECT app.e(i % 100), i FROM generate_series(1, 20000) AS i;
	INSERT INTO app.assigned SELECT app.e(i % 100), i + 1, 'ended' FROM generate_series(1, 10000) AS i;
	INSERT INTO app.suspended VALUES (107);
	CREATE INDEX ON app.assigned (expert_id, client_id);
	ALTER TABLE app.assigned OWNER TO owner;
	GRANT SELECT ON app.suspended TO owner;
	ALTER TABLE app.assigned ENABLE ROW LEVEL SECURITY;
	SELECT pattyly.define_relation('client', 'app.assigned', 'expert_id', 'client_id',
		'status = ''active'' and not exists (select from app.suspended s where s.client_id = assigned.client_id)');
	GRANT USAGE ON SCHEMA pattyly TO expert;
	GRANT EXECUTE ON FUNCTION pattyly.has_access(text, integer), pattyly.accessible_ids(text) TO expert;
	GRANT SELECT ON app.client TO expert;
	ALTER TABLE app.client ENABLE ROW LEVEL SECURITY;
	CREATE POLICY p ON app.client USING (pattyly.has_access('client', id));
	ANALYZE app.client; ANALYZE app.assigned});

my $AS_EXPERT_7 = q{SET ROLE expert; SET request.jwt.claims = '{"sub":"00000000-0000-0000-0000-e00000000007"}';};
my $SEEN = "$AS_EXPERT_7 SELECT count(*), min(id), bool_and(owner = 7), bool_or(id = 107) FROM app.client";
my $WANT = '199|7|t|f';

sub relations { return at($_[0], undef, 'SELECT name, assignments, subject_column, object_column, filter, include_self, owner FROM pattyly.relations', $_[1]) }
is(at($node, undef, $SEEN), $WANT, 'an expert sees his clients, but not the suspended one');

sub command
{
	my ($on, @command) = @_;
	local $ENV{PGHOST} = $on->host;
	local $ENV{PGPORT} = $on->port;
	my ($out, $err) = run_command(\@command);
	is($err, '', "$command[0] has nothing to say");
}

# A dump grants rights after it has brought the rows: what the filter reads by a GRANT cannot be read in between.
subtest 'dump and restore' => sub {
	my $to = new_server('to');
	at($to, undef, 'CREATE ROLE owner; CREATE ROLE expert');
	command($node, 'pg_dump', '-Fc', '-f', "$file.custom", 'postgres');
	command($node, 'pg_dump', '-f', "$file.sql", 'postgres');
	at($to, undef, 'CREATE DATABASE custom');
	at($to, undef, 'CREATE DATABASE text');
	command($to, 'pg_restore', '--exit-on-error', '-d', 'custom', "$file.custom");
	is($to->psql('text', '', extra_params => [ '-q', '--single-transaction', '-f', "$file.sql" ], on_error_stop => 1), 0, 'psql runs a dump as text');
	for my $database ('custom', 'text')
	{
		is(relations($to, $database), relations($node, 'postgres'), "$database: the relation, its filter and its owner");
		is(at($to, undef, $SEEN, $database), $WANT, "$database: the policy shows the same rows");
		like(error_of($to, undef, q{SELECT pattyly.define_relation('x', 'app.assigned', 'expert_id', 'nothing')}, $database), qr/42703/, "$database: the table is guarded again");
	}
	command($to, 'pg_restore', '--clean', '--if-exists', '--exit-on-error', '-d', 'custom', "$file.custom");
	is(at($to, undef, $SEEN, 'custom'), $WANT, 'restored over what was there');
	command($node, 'pg_dump', '--schema-only', '-f', "$file.schema", 'postgres');
	at($to, undef, 'CREATE DATABASE schema_only');
	is($to->psql('schema_only', '', extra_params => [ '-q', '-f', "$file.schema" ], on_error_stop => 1), 0, 'a schema alone');
	like(error_of($to, undef, $SEEN, 'schema_only'), qr/^$/, 'asks nothing of an empty table');
	$to->stop;
};

subtest 'a hot standby' => sub {
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	$node->wait_for_catchup($standby);
	is(at($standby, undef, $SEEN), $WANT, 'the same rows');
	is(at($standby, undef, "$AS_EXPERT_7 SET enable_indexscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM app.client"), 199, 'by a sequential scan');
	is(at($standby, undef, "$AS_EXPERT_7 SELECT cardinality(pattyly.accessible_ids('client'))"), 199, 'as a set');
	my $session = $standby->background_psql('postgres', on_error_stop => 0);
	$session->query_safe("$AS_EXPERT_7 SELECT 1");
	my $count = sub { $node->wait_for_catchup($standby); return $session->query_safe('SELECT count(*) FROM app.client') };
	is($count->(), 199, 'in a session that stays');
	at($node, undef, 'DELETE FROM app.suspended');
	is($count->(), 200, 'which sees what is replayed');
	at($node, undef, q{SELECT pattyly.define_relation('client', 'app.assigned', 'expert_id', 'client_id', 'false')});
	is($count->(), 0, 'another definition, too');
	at($node, undef, q{SELECT pattyly.define_relation('client', 'app.assigned', 'expert_id', 'client_id', 'status = ''active''')});
	is($count->(), 200, 'and the next');
	$session->quit;
	like(error_of($standby, undef, q{SELECT pattyly.drop_relation('client')}), qr/25006/, 'definitions are changed on the primary');
	$standby->stop;
};

# Every transaction is somebody else's. A division by zero ends pgbench when a row is there that should not be, or is not
# there that should: expert n has 200 clients that nobody takes away, and the shared ones up to 30000.
my $ASK = q{
\set n random(0, 99)
\set other random(1, 200)
BEGIN;
SELECT set_config('request.jwt.claims', '{"sub":"00000000-0000-0000-0000-e' || lpad(:n::text, 11, '0') || '"}', true);
SET LOCAL ROLE expert;
SELECT 1 / (count(*) FILTER (WHERE owner = :n) = 200 AND bool_and(owner IN (:n, -1)))::integer FROM app.client;
SELECT 1 / (count(*) = CASE WHEN :other % 100 = :n THEN 1 ELSE 0 END)::integer FROM app.client WHERE id = :other;
SELECT 1 / (count(*) = 2)::integer FROM app.client WHERE owner >= 0 AND id <= 200 AND id % 100 = :n;
SELECT 1 / (cardinality(pattyly.accessible_ids('client')) >= 200)::integer;
COMMIT;
};
my $CHANGE = q{
\set n random(0, 99)
\set shared random(20001, 20050)
INSERT INTO app.assigned VALUES (app.e(:n), :shared);
DELETE FROM app.assigned WHERE client_id = :shared AND random() < 0.7;
};
subtest 'many sessions' => sub {
	at($node, undef, 'INSERT INTO app.client SELECT i, -1 FROM generate_series(20001, 20050) AS i');
	for my $mode ('prepared', 'simple')
	{
		my $asking = background_bench($node, '', "-c 8 -j 2 -T 5 -M $mode", $ASK);
		my $changing = background_bench($node, '', '-c 1 -T 5', $CHANGE);
		my $asked = finish_bench($asking);
		my $changed = finish_bench($changing);
		note "$mode: $asked transactions asked, $changed changed something";
		cmp_ok($asked, '>', 100, "$mode: they got their answers");
		unlike($asking->{err}, qr/ERROR|aborted/, "$mode: no row too many, none too few");
		cmp_ok($changed, '>', 10, "$mode: while assignments changed");
	}
};
$node->stop;
done_testing();
