-- partitions: what there is, for whoever watches.

CREATE VIEW pattyly.partitions AS
SELECT s.parent, k.id::regclass AS partition, k.from_value, k.to_value,
       CASE WHEN c.reltuples < 0 THEN NULL ELSE c.reltuples::bigint END AS rows_estimate,
       (SELECT sum(pg_catalog.pg_total_relation_size(t.relid))::bigint FROM pg_catalog.pg_partition_tree(k.id) AS t) AS bytes,
       CASE WHEN k.pending THEN 'detach pending' WHEN k.is_default THEN 'default' ELSE 'attached' END AS state
FROM pattyly.partition_sets AS s, LATERAL pattyly.partition_children(s.parent) AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.id
UNION ALL
SELECT l.parent, l.partition, l.from_value, l.to_value, CASE WHEN c.reltuples < 0 THEN NULL ELSE c.reltuples::bigint END,
       pg_catalog.pg_total_relation_size(c.oid), 'detached'
FROM pattyly.leaving_partitions AS l JOIN pg_catalog.pg_class AS c ON c.oid = l.partition
WHERE NOT c.relispartition;
REVOKE ALL ON pattyly.partitions FROM PUBLIC;
COMMENT ON VIEW pattyly.partitions IS
'The partitions of all sets: state is attached, default, detach pending (begun and not ended) or detached (and about to be dropped or archived); bytes with indexes and TOAST; rows_estimate by the last ANALYZE, NULL before the first.';

---- Who may ----

GRANT SELECT ON pattyly.partitions TO @extowner@ WITH GRANT OPTION;
GRANT SELECT ON pattyly.partitions TO pg_monitor;
-- Functions of a view are run with the rights of whoever reads it.
GRANT EXECUTE ON FUNCTION pattyly.partition_children(regclass), pattyly.partition_bound(pg_node_tree) TO pg_monitor;
