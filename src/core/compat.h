/*
 * compat.h
 *		The one place that knows PostgreSQL's version.  The code spells the newest
 *		API; what stands here teaches it to older servers.  Everybody includes it
 *		right after postgres.h.
 */
#ifndef CORE_COMPAT_H
#define CORE_COMPAT_H

#include "fmgr.h"
#include "common/jsonapi.h"
#include "storage/proc.h"
#include "utils/acl.h"

#if PG_VERSION_NUM < 150000
#error "pattyly needs PostgreSQL 15 or newer"
#endif

#ifdef EXEC_BACKEND
#error "pattyly maps its state file in the postmaster and relies on fork"
#endif

/* The library hides its symbols; these are the ones the server must see. */
#define PATTYLY_EXPORT __attribute__((visibility("default")))

/* Declares a C function that SQL calls. */
#define PATTYLY_FUNCTION(name) \
	extern PATTYLY_EXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

/*
 * PostgreSQL 15 leaves PGDLLEXPORT empty on ELF, so that -fvisibility=hidden
 * would hide what PG_FUNCTION_INFO_V1 and PG_MODULE_MAGIC declare.
 */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT PATTYLY_EXPORT
#endif

#if PG_VERSION_NUM >= 180000
#define PATTYLY_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "pattyly", .version = PATTYLY_VERSION)
#else
#define PATTYLY_MODULE_MAGIC PG_MODULE_MAGIC
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* Its header, libpq/libpq.h, wants those of Kerberos, which need not be installed. */
extern bool pq_check_connection(void);

/* What a check hook leaves in *extra: malloc'ed up to 15, in a memory context since. */
#if PG_VERSION_NUM < 160000
#define guc_malloc(elevel, size) malloc(size)
#define guc_free(pointer) free(pointer)
#endif

/* Until 15 the settings are an array in the order of their names; since 16 a hash table. */
#if PG_VERSION_NUM < 160000
#define COMPAT_SETTINGS_IN_ORDER
#endif

/* 18 put this before the declaration. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/* A small number of this backend's own, from 0. */
#if PG_VERSION_NUM >= 170000
#define compat_backend_number() ((uint32) MyProcNumber)
#else
#define compat_backend_number() ((uint32) MyBackendId)
#endif

/* Whose transaction it is, and the number of this backend's own one. */
#if PG_VERSION_NUM >= 170000
#define compat_backend_of(vxid) ((vxid).procNumber)
#define compat_local_transaction() (MyProc->vxid.lxid)
#else
#define compat_backend_of(vxid) ((vxid).backendId)
#define compat_local_transaction() (MyProc->lxid)
#endif

/* JSON: 17 lets the caller place the lexer; 16 made the callbacks answer. */
#if PG_VERSION_NUM >= 170000
#define compat_json_lexer(text, length, escapes) \
	makeJsonLexContextCstringLen(NULL, text, length, GetDatabaseEncoding(), escapes)
#else
#define compat_json_lexer(text, length, escapes) \
	makeJsonLexContextCstringLen(text, length, GetDatabaseEncoding(), escapes)
#endif

#if PG_VERSION_NUM >= 160000
typedef JsonParseErrorType CompatJsonAnswer;
#define COMPAT_JSON_GO_ON return JSON_SUCCESS
#else
typedef void CompatJsonAnswer;
#define COMPAT_JSON_GO_ON return
#endif

/* 16 gave DecodeDateTime a place for what a later error message needs. */
#if PG_VERSION_NUM >= 160000
#define compat_decode_datetime(field, ftype, nf, dtype, tm, fsec, tz) \
	({ DateTimeErrorExtra extra_; DecodeDateTime(field, ftype, nf, dtype, tm, fsec, tz, &extra_); })
#else
#define compat_decode_datetime(field, ftype, nf, dtype, tm, fsec, tz) \
	DecodeDateTime(field, ftype, nf, dtype, tm, fsec, tz)
#endif

/* 18 took away the last argument, which says that the executor runs once. */
#if PG_VERSION_NUM >= 180000
#define compat_executor_run(desc, limit) ExecutorRun(desc, ForwardScanDirection, limit)
#else
#define compat_executor_run(desc, limit) ExecutorRun(desc, ForwardScanDirection, limit, true)
#endif

/* 16 has one function for the owner of any object. */
#if PG_VERSION_NUM >= 160000
#define compat_is_table_owner(relid, role) object_ownercheck(RelationRelationId, relid, role)
#define compat_is_database_owner(database, role) object_ownercheck(DatabaseRelationId, database, role)
#define compat_may_execute(function, role) \
	(object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK)
#else
#define compat_is_table_owner(relid, role) pg_class_ownercheck(relid, role)
#define compat_is_database_owner(database, role) pg_database_ownercheck(database, role)
#define compat_may_execute(function, role) \
	(pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK)
#endif

/* Who needs the privileges on a table of a query; 16 moved that out of the range table. */
#if PG_VERSION_NUM >= 160000
#define compat_check_as(query, rte, role) \
	(getRTEPermissionInfo((query)->rteperminfos, rte)->checkAsUser = (role))
#define compat_may_use_schema(schema, role) \
	(object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK)
#else
#define compat_check_as(query, rte, role) ((rte)->checkAsUser = (role))
#define compat_may_use_schema(schema, role) \
	(pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK)
#endif

/* Until 16 a btree is read once for each element of a list, whichever column it is for. */
#if PG_VERSION_NUM < 170000
#define COMPAT_LISTS_BREAK_ORDER
#endif

/* How many elements an array expression has; 17 asks the statistics, too. */
#if PG_VERSION_NUM >= 170000
#define compat_array_length(root, expression) estimate_array_length(root, expression)
#else
#define compat_array_length(root, expression) estimate_array_length(expression)
#endif

/* 18 wants to know where to count. */
#if PG_VERSION_NUM >= 180000
#define compat_index_beginscan(table, index, snapshot, keys) \
	index_beginscan(table, index, snapshot, NULL, keys, 0)
#else
#define compat_index_beginscan(table, index, snapshot, keys) \
	index_beginscan(table, index, snapshot, keys, 0)
#endif

/* 18 took away the argument that says that the portal runs once. */
#if PG_VERSION_NUM >= 180000
#define compat_portal_run(portal, dest, completion) \
	PortalRun(portal, FETCH_ALL, true, dest, dest, completion)
#else
#define compat_portal_run(portal, dest, completion) \
	PortalRun(portal, FETCH_ALL, true, true, dest, dest, completion)
#endif

/* Since 17 an extension's waits have names, and a worker may run as a role that cannot log in. */
#if PG_VERSION_NUM >= 170000
#define compat_wait_event(name) WaitEventExtensionNew(name)
#define COMPAT_CONNECT_AS_ANY_ROLE BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define compat_wait_event(name) ((void) (name), PG_WAIT_EXTENSION)
#define COMPAT_ROLE_MUST_LOG_IN
#define COMPAT_CONNECT_AS_ANY_ROLE 0
#endif

#endif							/* CORE_COMPAT_H */
