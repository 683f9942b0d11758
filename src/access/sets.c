/*
 * sets.c
 *		See sets.h.
 *
 * A set holds for a moment: the claims, the role and the data that a statement
 * sees.  Two statements see the same data when their snapshots have the same
 * fields and no subtransaction of ours has been rolled back in between, for that
 * takes back rows without another snapshot to show for it; the end of the
 * transaction ends all sets.  Whoever holds a set checks the moment at every call:
 * a call site outlives its statement (in a loop of PL/pgSQL, for one).
 *
 * A relation whose filter reads more than the data, a setting say, has its sets
 * shared by no other call site.
 */
#include "postgres.h"

#include "access/claims.h"
#include "access/estimate.h"
#include "access/sets.h"
#include "core/compat.h"
#include "core/transaction.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/uuid.h"

/*
 * How many objects are looked up one by one before the others are fetched, and how
 * many are fetched then at most.  Who has more is a big subject: a lookup costs
 * about as much as fetching 50 keys, so it pays to go on with lookups for longer.
 */
#define PROBES_AT_FIRST		8
#define SMALL_SET			1000
#define PROBES_OF_A_BIG_SET	500

/* In units of the planner: more than a small table that is read as a whole. */
#define EXPENSIVE_LOOKUP	100.0

/* Statements that run at the same time, such as cursors, have sets of their own. */
#define MAX_SETS			8

typedef struct Moment
{
	uint64		claims;
	uint64		undone;			/* subtransactions rolled back in this transaction */
	Oid			role;
	TransactionId xmin;
	TransactionId xmax;
	uint32		xcnt;
	int32		subxcnt;
	CommandId	curcid;
	bool		suboverflowed;
	bool		in_recovery;
} Moment;

struct AccessSet
{
	uint64		serial;			/* another whenever this is another set */
	Moment		moment;
	AccessRelation *relation;	/* NULL: not in use */
	uint64		epoch;
	const AccessSite *site;		/* the only one that may use it; NULL: any */
	uint64		last_used;
	int			probes;
	bool		is_big;			/* more than SMALL_SET */
	bool		complete;
	MemoryContext context;		/* of the keys */
	KeyBag	   *keys;
};

static AccessSet sets[MAX_SETS];
static MemoryContext sets_context;
static uint64 serials;
static uint64 uses;
static uint64 undone;

/* ---- moments ---- */

static inline void
note_moment(Moment *moment)
{
	Snapshot	snapshot = ActiveSnapshotSet() ? GetActiveSnapshot() : GetTransactionSnapshot();

	moment->claims = claims_version();
	moment->undone = undone;
	moment->role = GetUserId();
	moment->xmin = snapshot->xmin;
	moment->xmax = snapshot->xmax;
	moment->xcnt = snapshot->xcnt;
	moment->subxcnt = snapshot->subxcnt;
	moment->curcid = snapshot->curcid;
	moment->suboverflowed = snapshot->suboverflowed;
	moment->in_recovery = snapshot->takenDuringRecovery;
}

/* Whether it is still the moment; without a copy, for this is asked for every row. */
static inline bool
is_now(const Moment *moment)
{
	Snapshot	snapshot = ActiveSnapshotSet() ? GetActiveSnapshot() : GetTransactionSnapshot();

	return moment->curcid == snapshot->curcid && moment->xmax == snapshot->xmax &&
		moment->xmin == snapshot->xmin && moment->xcnt == snapshot->xcnt &&
		moment->subxcnt == snapshot->subxcnt && moment->suboverflowed == snapshot->suboverflowed &&
		moment->in_recovery == snapshot->takenDuringRecovery && moment->undone == undone &&
		moment->role == GetUserId() && moment->claims == claims_version();
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		undone++;
}

static void
drop_set(AccessSet *set)
{
	if (set->context != NULL)
		MemoryContextDelete(set->context);
	memset(set, 0, sizeof(*set));
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (transaction_has_ended(event))
		for (int i = 0; i < MAX_SETS; i++)
			drop_set(&sets[i]);
}

void
sets_init(void)
{
	sets_context = AllocSetContextCreate(TopMemoryContext, "pattyly access sets",
										 ALLOCSET_SMALL_SIZES);
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
}

/* ---- finding the set ---- */

static AccessSet *
find_set(const AccessRelation *relation, const AccessSite *site)
{
	for (int i = 0; i < MAX_SETS; i++)
		if (sets[i].relation == relation && sets[i].epoch == relations_epoch() &&
			sets[i].site == (relation->is_unsteady ? site : NULL) &&
			is_now(&sets[i].moment))
			return &sets[i];
	return NULL;
}

static AccessSet *
least_used(void)
{
	AccessSet  *oldest = &sets[0];

	for (int i = 1; i < MAX_SETS; i++)
		if (sets[i].last_used < oldest->last_used)
			oldest = &sets[i];
	return oldest;
}

static AccessSet *
new_set(AccessRelation *relation, const AccessSite *site)
{
	AccessSet  *set = least_used();

	drop_set(set);
	set->serial = ++serials;
	note_moment(&set->moment);
	set->relation = relation;
	set->epoch = relations_epoch();
	set->site = relation->is_unsteady ? site : NULL;
	return set;
}

/* An expression of PL/pgSQL runs outside of any query, and again in the same moment: it is a statement of its own. */
static bool
outside_of_queries(void)
{
	return !ActiveSnapshotSet() || GetActiveSnapshot()->regd_count == 0;
}

static inline bool
is_current(const AccessSite *site, const char *name, int name_length)
{
	return site->set != NULL && site->epoch == relations_epoch() &&
		site->serial == site->set->serial && is_now(&site->set->moment) &&
		(site->set->site == NULL || !outside_of_queries()) &&
		site->name_length == name_length && memcmp(site->name, name, name_length) == 0;
}

AccessSet *
access_set(AccessSite *site, const char *name, int name_length)
{
	AccessRelation *relation;
	AccessSet  *set;

	if (likely(is_current(site, name, name_length)))
		return site->set;

	/* A set that nobody but this site may use ends with its moment. */
	relation = relation_get(name, name_length);
	set = find_set(relation, site);
	if (set == NULL || (set->site != NULL && (site->set != set || outside_of_queries())))
		set = new_set(relation, site);
	set->last_used = ++uses;
	site->set = set;
	site->serial = set->serial;
	site->epoch = relations_epoch();
	site->name_length = name_length;
	memcpy(site->name, name, name_length);
	return set;
}

AccessRelation *
access_set_relation(const AccessSet *set)
{
	return set->relation;
}

/* ---- who asks ---- */

/*
 * Who asks, as a key of that kind; false when nobody does.  A copy: a function of
 * the filter may run under other claims, which take the place of these.
 */
static bool
subject(KeyKind kind, Datum *value, pg_uuid_t *buffer)
{
	const char *sub;

	if (kind == KEY_UUID)
	{
		const pg_uuid_t *uid = claims_uid();

		if (uid == NULL)
			return false;
		*buffer = *uid;
		*value = UUIDPGetDatum(buffer);
		return true;
	}
	sub = claims_sub();
	if (sub == NULL)
		return false;
	*value = kind == KEY_TEXT ? CStringGetTextDatum(sub) :
		DirectFunctionCall1(int8in, CStringGetDatum(sub));
	return true;
}

static bool
is_self(const AccessRelation *relation, Datum self, Datum value)
{
	return relation->include_self && keys_equal(relation->object_kind, self, value);
}

/* ---- fetching ---- */

typedef struct Fetch
{
	KeyBag	   *keys;
	uint64		seen;
} Fetch;

static bool
take_row(Datum value, bool isnull, void *arg)
{
	Fetch	   *fetch = arg;

	fetch->seen++;
	if (!isnull)
		keybag_add(fetch->keys, value);
	return true;
}

/* Our queries, even to plan them, may run functions that come back to us and use up all sets. */
static void
check_still(const AccessSet *set, uint64 serial)
{
	if (serial != set->serial)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the filter of a relation reads too many relations"),
				 errhint("Do not ask for access to another relation in the filter of one.")));
}

/*
 * All the caller's keys, or none when there are more than limit (0: no limit).
 */
static void
fetch(AccessSet *set, Datum self, uint64 limit)
{
	AccessRelation *relation = set->relation;
	uint64		serial = set->serial;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pattyly access set",
												  ALLOCSET_DEFAULT_SIZES);
	Fetch		fetch = {.keys = keybag_create(relation->object_kind, context)};

	ownerquery_run(&relation->fetch, &self, limit == 0 ? 0 : limit + 1, take_row, &fetch);
	check_still(set, serial);
	if (limit != 0 && fetch.seen > limit)
	{
		set->is_big = true;
		MemoryContextDelete(context);
		return;
	}
	if (relation->include_self)
		keybag_add(fetch.keys, self);
	keybag_close(fetch.keys);
	MemoryContextSetParent(context, sets_context);
	set->context = context;
	set->keys = fetch.keys;
	set->complete = true;
}

static bool
took_row(Datum value, bool isnull, void *arg)
{
	*(bool *) arg = true;
	return false;
}

static bool
probe(AccessSet *set, Datum self, Datum value)
{
	Datum		params[2] = {self, value};
	bool		found = false;

	set->probes++;
	ownerquery_run(&set->relation->probe, params, 1, took_row, &found);
	return found;
}

/* Where no index serves a lookup, it costs as much as to fetch all: then one is enough. */
static int
lookups_at_first(AccessRelation *relation)
{
	if (relation->lookups_at_first == 0)
	{
		Cost		lookup = ownerquery_cost(&relation->probe);
		Cost		all = ownerquery_cost(&relation->fetch);

		relation->lookups_at_first =
			lookup * 2 > all && lookup > EXPENSIVE_LOOKUP ? 1 : PROBES_AT_FIRST;
	}
	return relation->lookups_at_first;
}

/* Fetches when enough lookups have been made. Returns whether the keys are here then. */
static bool
have_keys(AccessSet *set, Datum self)
{
	uint64		serial = set->serial;

	if (set->probes == 0 || set->probes < lookups_at_first(set->relation))
		return false;
	check_still(set, serial);

	/* To fetch some in vain is not cheap either: the index may be read for all of them. */
	if (!set->is_big && access_estimate(set->relation) > SMALL_SET)
		set->is_big = true;
	if (!set->is_big)
		fetch(set, self, SMALL_SET);
	if (set->is_big && set->probes >= PROBES_OF_A_BIG_SET)
		fetch(set, self, 0);
	return set->complete;
}

bool
access_set_has(AccessSet *set, Datum value)
{
	Datum		self;
	pg_uuid_t	buffer;

	if (likely(set->complete))
		return keybag_has(set->keys, value);
	if (!subject(set->relation->subject_kind, &self, &buffer))
		return false;
	if (is_self(set->relation, self, value))
		return true;
	return have_keys(set, self) ? keybag_has(set->keys, value) : probe(set, self, value);
}

ArrayType *
access_set_array(AccessSet *set)
{
	Datum		self;
	pg_uuid_t	buffer;

	if (!set->complete)
	{
		if (!subject(set->relation->subject_kind, &self, &buffer))
			return construct_empty_array(key_kind_type(set->relation->object_kind));
		fetch(set, self, 0);
	}
	return keybag_array(set->keys);
}
