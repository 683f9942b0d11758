/*
 * config.c
 *		See config.h.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "core/compat.h"
#include "core/config.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

static ConfigTable *tables;

static void
forget_copies(Datum arg, Oid relid)
{
	for (ConfigTable *table = tables; table != NULL; table = table->next)
		if (relid == InvalidOid || relid == table->relid)
			table->fresh = false;
}

void
config_register(ConfigTable *table)
{
	if (tables == NULL)
		CacheRegisterRelcacheCallback(forget_copies, (Datum) 0);
	table->next = tables;
	tables = table;
}

void
config_catch_up(void)
{
	AcceptInvalidationMessages();
}

static Relation
open_table(ConfigTable *table)
{
	Oid			namespace = get_namespace_oid("pattyly", true);
	Oid			relid = OidIsValid(namespace) ? get_relname_relid(table->name, namespace) : InvalidOid;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"pattyly\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION pattyly.")));
	table->relid = relid;
	return table_open(relid, AccessShareLock);
}

/* The old copy stays in place until the new one is complete. */
void
config_load(ConfigTable *table)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pattyly configuration",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(context);
	Relation	relation = open_table(table);
	void	   *data;

	/* A change that arrives while we read makes the copy stale again. */
	table->fresh = true;
	PG_TRY();
	{
		data = table->load(relation);
	}
	PG_CATCH();
	{
		table->fresh = false;
		PG_RE_THROW();
	}
	PG_END_TRY();
	table_close(relation, AccessShareLock);
	MemoryContextSwitchTo(before);

	MemoryContextSetParent(context, CacheMemoryContext);
	if (table->context != NULL)
		MemoryContextDelete(table->context);
	table->context = context;
	table->data = data;
	table->generation++;
}

/* A NULL snapshot is the newest one: what is committed now, whatever the isolation level. */
void
config_scan(Relation table, void (*row) (HeapTuple tuple, TupleDesc desc, void *arg), void *arg)
{
	SysScanDesc scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while ((tuple = systable_getnext(scan)) != NULL)
		row(tuple, RelationGetDescr(table), arg);
	systable_endscan(scan);
}

Datum
config_required(HeapTuple tuple, TupleDesc desc, int number, const char *of_what, const char *hint)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, number, desc, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s of %s must not be null",
						NameStr(TupleDescAttr(desc, number - 1)->attname), of_what),
				 errhint("%s", hint)));
	return value;
}

PATTYLY_FUNCTION(pattyly_config_changed);

/* Trigger on a configuration table, for each row, and for TRUNCATE. */
Datum
pattyly_config_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("config_changed can only be called as a trigger"),
				 errhint("It stands on the configuration tables of pattyly already.")));
	CacheInvalidateRelcache(trigger->tg_relation);
	return PointerGetDatum(NULL);
}
