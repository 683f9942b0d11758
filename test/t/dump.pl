# pg_dump carries rules, routes, lists, the route's sequence and granted rights into another cluster, where they take
# effect; counters stay where they are.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use PostgreSQL::Test::Utils;
use Test::More;

my $from = new_server('from', 'pattyly.max_keys = 1000');
my $to = new_server('to', 'pattyly.max_keys = 1000');
my $file = $from->basedir . '/dump';

at($from, undef, q{
	CREATE ROLE service_role; CREATE ROLE anon; CREATE ROLE authenticated;
	SELECT pattyly.load_preset('web-forms');
	SELECT pattyly.set_limit('all', 10, '90 seconds', 'gcra', burst => 30, block_for => '5 min', mode => 'shadow',
		message => E'Stop, "now"\n\ttab \\ {minutes}');
	UPDATE pattyly.limits SET count_denied = true WHERE name = 'all';
	INSERT INTO pattyly.routes (method, path, limits, keyed_by, cost, enabled) VALUES
		('POST', '/rpc/login', '{login,all}', 'ip+user', 2, true), (NULL, '*', '{all}', 'header:X-Api-Key', 1, false);
	INSERT INTO pattyly.routes (id, path, limits) VALUES (40, '/x', '{all}');
	SELECT setval('pattyly.routes_id_seq', 41);
	INSERT INTO pattyly.ip_list VALUES ('10.0.0.0/8', 'allow', NULL, NULL, 'office'),
		('2001:db8::/32', 'deny', 'login', '2031-01-01', E'not\tus');
	SELECT pattyly.grant_api()});
at($from, $T0, q{SELECT pattyly.allow('login', 'a', 4)});
at($to, undef, 'CREATE ROLE service_role; CREATE ROLE anon; CREATE ROLE authenticated');

my %CONFIG = (
	limits => 'SELECT name, algorithm, max_hits, per, burst, block_for, count_denied, mode, message FROM pattyly.limits ORDER BY 1',
	'when limits were changed' => 'SELECT name, updated_at FROM pattyly.limits ORDER BY 1',
	routes => 'SELECT * FROM pattyly.routes ORDER BY 1',
	'the sequence of routes' => 'SELECT last_value, is_called FROM pattyly.routes_id_seq',
	ip_list => 'SELECT * FROM pattyly.ip_list ORDER BY 1, 3',
	'rights of functions' => q{SELECT oid::regprocedure, proacl FROM pg_proc WHERE pronamespace = 'pattyly'::regnamespace ORDER BY oid::regprocedure::text},
	'rights of tables' => q{SELECT relname, relacl FROM pg_class WHERE relnamespace = 'pattyly'::regnamespace AND relkind IN ('r', 'v', 'S') ORDER BY 1},
	'rights of the schema' => q{SELECT nspacl FROM pg_namespace WHERE nspname = 'pattyly'},
	api_bundles => 'SELECT * FROM pattyly.api_bundles ORDER BY 3',
);

sub config { my ($node, $database) = @_; return { map { $_ => at($node, undef, $CONFIG{$_}, $database) } keys %CONFIG } }

my $config = config($from);

sub command
{
	my ($node, @command) = @_;
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	my ($out, $err) = run_command(\@command);
	is($err, '', "$command[0] has nothing to say");
}

sub arrived_in
{
	my ($database) = @_;
	my $there = config($to, $database);
	is($there->{$_}, $config->{$_}, $_) for sort keys %CONFIG;
	is(at($to, $T0, q{SELECT max_hits, remaining FROM pattyly.peek_limit('login', 'a')}, $database), '10|10', 'rules take effect, and counters did not come along');
	is(at($to, undef, q{INSERT INTO pattyly.routes (path, limits) VALUES ('/new', '{all}') RETURNING id}, $database), 42, 'a new route gets the next number');
	is(at($to, undef, q{SET ROLE service_role; SELECT pattyly.allow('login', 'b')}, $database), 't', 'granted rights hold');
	like(error_of($to, undef, q{SET ROLE anon; SELECT pattyly.allow('login', 'b')}, $database), qr/42501/, 'and only those');
}

subtest 'pg_dump and pg_restore' => sub {
	command($from, 'pg_dump', '-Fc', '-f', "$file.custom", 'postgres');
	$to->safe_psql('postgres', 'CREATE DATABASE custom');
	command($to, 'pg_restore', '--exit-on-error', '-d', 'custom', "$file.custom");
	arrived_in('custom');
};

subtest 'pg_restore over what is there' => sub {
	command($to, 'pg_restore', '--clean', '--if-exists', '--exit-on-error', '-d', 'custom', "$file.custom");
	arrived_in('custom');
};

subtest 'pg_dump as text, in one transaction' => sub {
	command($from, 'pg_dump', '-f', "$file.sql", 'postgres');
	$to->safe_psql('postgres', 'CREATE DATABASE text');
	is($to->psql('text', '', extra_params => [ '-q', '--single-transaction', '-f', "$file.sql" ], on_error_stop => 1), 0, 'psql runs it');
	arrived_in('text');
};

subtest 'pg_dump --schema-only' => sub {
	command($from, 'pg_dump', '--schema-only', '-Fc', '-f', "$file.schema", 'postgres');
	$to->safe_psql('postgres', 'CREATE DATABASE schema_only');
	command($to, 'pg_restore', '--exit-on-error', '-d', 'schema_only', "$file.schema");
	is(at($to, undef, 'SELECT extversion IS NOT NULL FROM pg_extension WHERE extname = \'pattyly\'', 'schema_only'), 't', 'the extension is there');
};

# Rows that a dump brings are looked at like any others.
subtest 'a dump into a server that did not preload' => sub {
	$to->adjust_conf('postgresql.conf', 'shared_preload_libraries', "''");
	$to->restart;
	$to->safe_psql('postgres', 'CREATE DATABASE later');
	local $ENV{PGHOST} = $to->host;
	local $ENV{PGPORT} = $to->port;
	my ($out, $err) = run_command([ 'pg_restore', '--exit-on-error', '-d', 'later', "$file.custom" ]);
	is(at($to, undef, $CONFIG{limits}, 'later'), $config->{limits}, 'the rules arrived');
	$to->adjust_conf('postgresql.conf', 'shared_preload_libraries', "'pattyly'");
	$to->restart;
	arrived_in('later');
};

$from->stop;
$to->stop;
done_testing();
