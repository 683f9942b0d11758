/*
 * lists.c
 *		See lists.h.
 *
 * Rows are hashed by network, and a look-up tries the prefix lengths that occur,
 * longest first: as many probes as there are lengths, however long the list.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/config.h"
#include "limits/lists.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inet.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

/* Columns of pattyly.ip_list. */
enum
{
	COLUMN_NETWORK = 1,
	COLUMN_ACTION,
	COLUMN_LIMIT_NAME,
	COLUMN_EXPIRES_AT
};

typedef struct ListRow
{
	char	   *limit_name;		/* NULL: every limit */
	int64		expires_us;		/* PG_INT64_MAX: never */
	ListAction	action;
	struct ListRow *next;
} ListRow;

typedef struct ListNetwork
{
	Network		network;		/* hash key; has no padding */
	ListRow    *rows;
} ListNetwork;

StaticAssertDecl(sizeof(Network) == 18, "a Network is hashed as bytes");

typedef struct NetworkLists
{
	bool		any;
	int64		deny_until_us;	/* the last row that denies expires then */
	HTAB	   *networks;
	bool		v4[33];			/* prefix lengths that occur */
	bool		v6[129];
} NetworkLists;

static void *load_lists(Relation table);

static ConfigTable list_table = {.name = "ip_list", .load = load_lists};

static void
read_network(HeapTuple tuple, TupleDesc desc, Network *network)
{
	bool		isnull;
	inet	   *value = DatumGetInetPP(heap_getattr(tuple, COLUMN_NETWORK, desc, &isnull));
	int			written_bits = ip_family(value) == PGSQL_AF_INET ? 32 : 128;
	Address		address = address_make(ip_addr(value), written_bits);
	int			prefix = Max(ip_bits(value) - (written_bits - address.bits), 0);

	memset(network, 0, sizeof(*network));
	network->base = address_mask(&address, prefix);
	network->prefix = prefix;
}

static void
add_row(HeapTuple tuple, TupleDesc desc, void *arg)
{
	NetworkLists *lists = arg;
	ListRow    *row = palloc0(sizeof(ListRow));
	ListNetwork *entry;
	Network		network;
	Datum		value;
	bool		isnull;
	bool		found;

	lists->any = true;
	read_network(tuple, desc, &network);
	value = heap_getattr(tuple, COLUMN_ACTION, desc, &isnull);
	row->action = strcmp(TextDatumGetCString(value), "allow") == 0 ? LIST_ALLOW : LIST_DENY;
	value = heap_getattr(tuple, COLUMN_LIMIT_NAME, desc, &isnull);
	row->limit_name = isnull ? NULL : TextDatumGetCString(value);
	value = heap_getattr(tuple, COLUMN_EXPIRES_AT, desc, &isnull);
	row->expires_us = isnull || TIMESTAMP_IS_NOEND(DatumGetTimestampTz(value)) ? PG_INT64_MAX :
		clock_from_timestamp(DatumGetTimestampTz(value));
	if (row->action == LIST_DENY)
		lists->deny_until_us = Max(lists->deny_until_us, row->expires_us);

	entry = hash_search(lists->networks, &network, HASH_ENTER, &found);
	row->next = found ? entry->rows : NULL;
	entry->rows = row;
	(network.base.bits == 32 ? lists->v4 : lists->v6)[network.prefix] = true;
}

static void *
load_lists(Relation table)
{
	NetworkLists *lists = palloc0(sizeof(NetworkLists));
	HASHCTL		control = {
		.keysize = sizeof(Network),
		.entrysize = sizeof(ListNetwork),
		.hcxt = CurrentMemoryContext
	};

	lists->networks = hash_create("pattyly networks", 64, &control,
								  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	config_scan(table, add_row, lists);
	return lists;
}

void
limit_lists_init(void)
{
	config_register(&list_table);
}

void
limit_lists_catch_up(void)
{
	config_get(&list_table);
}

bool
limit_lists_any(void)
{
	return ((NetworkLists *) list_table.data)->any;
}

bool
limit_lists_deny_any(int64 now_us)
{
	return ((NetworkLists *) list_table.data)->deny_until_us > now_us;
}

/* Of one network, the row that names the limit is the more specific one. */
static ListAction
action_of(const ListNetwork *network, const char *limit_name, int64 now_us)
{
	ListAction	action = LIST_NONE;

	for (const ListRow *row = network->rows; row != NULL; row = row->next)
	{
		if (row->expires_us <= now_us)
			continue;
		if (row->limit_name == NULL)
			action = action == LIST_NONE ? row->action : action;
		else if (limit_name != NULL && strcmp(row->limit_name, limit_name) == 0)
			return row->action;
	}
	return action;
}

ListAction
limit_lists_find(const Address *address, const char *limit_name, int64 now_us)
{
	NetworkLists *lists = list_table.data;
	const bool *occurs = address->bits == 32 ? lists->v4 : lists->v6;

	for (int prefix = address->bits; prefix >= 0; prefix--)
	{
		Network		network;
		ListNetwork *entry;
		ListAction	action;

		if (!occurs[prefix])
			continue;
		memset(&network, 0, sizeof(network));
		network.base = address_mask(address, prefix);
		network.prefix = prefix;
		entry = hash_search(lists->networks, &network, HASH_FIND, NULL);
		action = entry != NULL ? action_of(entry, limit_name, now_us) : LIST_NONE;
		if (action != LIST_NONE)
			return action;
	}
	return LIST_NONE;
}

PATTYLY_FUNCTION(pattyly_check_list_row);

/* BEFORE trigger of pattyly.ip_list */
Datum
pattyly_check_list_row(PG_FUNCTION_ARGS)
{
	static const char *const hint =
		"A row needs a network and an action, for example ('203.0.113.0/24', 'deny').";
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	tuple;
	char	   *action;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("check_list_row can only be called as a trigger"),
				 errhint("It stands on pattyly.ip_list already.")));
	tuple = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	desc = RelationGetDescr(trigger->tg_relation);
	config_required(tuple, desc, COLUMN_NETWORK, "a list row", hint);
	action = TextDatumGetCString(config_required(tuple, desc, COLUMN_ACTION, "a list row", hint));
	if (strcmp(action, "allow") != 0 && strcmp(action, "deny") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown action \"%s\" of a list row", action),
				 errhint("Actions are allow and deny.")));
	return PointerGetDatum(tuple);
}
