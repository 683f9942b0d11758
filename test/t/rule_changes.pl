# Ways by which a rule changes that isolation specs do not reach: a prepared transaction, COPY, a replica's apply worker,
# a session that switches ordinary triggers off. Sessions that are open see each of them at their next call.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use PattylyNode;
use Test::More;

my $node = new_server('changed', 'pattyly.max_keys = 1000', 'max_prepared_transactions = 5', 'wal_level = logical');
at($node, undef, q{SELECT pattyly.set_limit('login', 5, '1 hour')});

my $session = $node->background_psql('postgres', on_error_stop => 0);

# What the open session counts by.
sub max_hits { return $session->query_safe(q{SELECT max_hits FROM pattyly.peek_limit('login', 'a')}) }

is(max_hits(), 5, 'the session knows the rule');

subtest 'a prepared transaction' => sub {
	at($node, undef, q{BEGIN; SELECT pattyly.set_limit('login', 6, '1 hour'); PREPARE TRANSACTION 'p'});
	is(max_hits(), 5, 'is not seen while it is prepared');
	is(at($node, undef, q{SELECT max_hits FROM pattyly.peek_limit('login', 'a')}), 5, 'nor by a new session');
	at($node, undef, q{COMMIT PREPARED 'p'});
	is(max_hits(), 6, 'is seen when it commits');
	at($node, undef, q{BEGIN; SELECT pattyly.set_limit('login', 7, '1 hour'); PREPARE TRANSACTION 'q'; ROLLBACK PREPARED 'q'});
	is(max_hits(), 6, 'is never seen when it rolls back');
};

# The session that prepared it must forget what it saw of it.
subtest 'the session that prepares' => sub {
	is($session->query_safe(q{BEGIN; SELECT pattyly.set_limit('login', 8, '1 hour'); SELECT max_hits FROM pattyly.peek_limit('login', 'a')}), "\n8", 'sees its change');
	is($session->query_safe(q{PREPARE TRANSACTION 'r'; SELECT max_hits FROM pattyly.peek_limit('login', 'a')}), 6, 'no more once it is prepared');
	is($session->query_safe(q{COMMIT PREPARED 'r'; SELECT max_hits FROM pattyly.peek_limit('login', 'a')}), 8, 'and again when it commits');
};

subtest 'a session that switches triggers off' => sub {
	at($node, undef, q{SET session_replication_role = replica; UPDATE pattyly.limits SET max_hits = 9});
	is(max_hits(), 9, 'cannot hide a change');
	like(error_of($node, undef, q{SET session_replication_role = replica; UPDATE pattyly.limits SET max_hits = -1}), qr/22023/, 'nor write nonsense');
};

subtest 'COPY, MERGE, TRUNCATE' => sub {
	at($node, undef, "COPY pattyly.limits (name, max_hits, per) FROM stdin;\ncopied\t3\t1 hour\n\\.\n");
	is($session->query_safe(q{SELECT max_hits FROM pattyly.peek_limit('copied', 'a')}), 3, 'a copied rule');
	at($node, undef, q{MERGE INTO pattyly.limits l USING (VALUES ('login')) v (name) ON l.name = v.name WHEN MATCHED THEN UPDATE SET max_hits = 10});
	is(max_hits(), 10, 'a merged rule');
	at($node, undef, q{BEGIN; TRUNCATE pattyly.limits; INSERT INTO pattyly.limits (name, max_hits, per) VALUES ('login', 11, '1 hour'); COMMIT});
	is(max_hits(), 11, 'a rule in a table that was emptied and filled');
};

subtest 'a change by logical replication' => sub {
	my $source = new_server('source', 'pattyly.max_keys = 1000', 'wal_level = logical');
	at($source, undef, 'CREATE PUBLICATION rules FOR TABLE pattyly.limits, pattyly.ip_list');
	at($node, undef, 'TRUNCATE pattyly.limits');
	at($node, undef, 'CREATE SUBSCRIPTION rules CONNECTION \'' . $source->connstr . ' dbname=postgres\' PUBLICATION rules');
	$node->wait_for_subscription_sync($source, 'rules');

	my $arrived = sub { my ($sql) = @_; at($source, undef, $sql); $source->wait_for_catchup('rules') };
	$arrived->(q{SELECT pattyly.set_limit('login', 12, '1 hour')});
	is(max_hits(), 12, 'a rule that comes');
	$arrived->(q{SELECT pattyly.set_limit('login', 13, '1 hour')});
	is(max_hits(), 13, 'a rule that changes');
	$arrived->(q{INSERT INTO pattyly.ip_list (network, action) VALUES ('192.0.2.1', 'deny')});
	is($session->query_safe(q{SELECT reason FROM pattyly.check_limit('login', '192.0.2.1')}), 'denied', 'a network that is denied');
	at($node, undef, 'DROP SUBSCRIPTION rules');
	$source->stop;
};

# Sessions come to know a table again after it was written anew under them.
subtest 'VACUUM FULL, CLUSTER, ALTER TABLE' => sub {
	for my $command ('VACUUM FULL pattyly.limits', 'ALTER TABLE pattyly.limits SET (fillfactor = 50)', 'CLUSTER pattyly.limits USING limits_pkey', 'ANALYZE pattyly.limits')
	{
		at($node, undef, $command);
		is(max_hits(), 13, $command);
	}
};

$session->quit;
$node->stop;
done_testing();
