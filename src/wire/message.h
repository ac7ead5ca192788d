/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of messages between controller and agents, and between the source's
 * agent and its keeper. What is not in the table, does not decode, comes from
 * the wrong side, or comes in the wrong state is refused.
 *
 * A request carries an id that is not zero; its answer has the same id and is
 * either the type that the table names or MSG_ERROR. Events have id zero.
 */
#ifndef REHOST_WIRE_MESSAGE_H
#define REHOST_WIRE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hook.h"
#include "wire/codec.h"
#include "wire/facts.h"

enum message_type {
	/* answers and events */
	MSG_HELLO = 1,
	MSG_ERROR,
	MSG_OK,
	MSG_LOG,
	MSG_VOLUME,
	MSG_SOURCE_STATE,
	MSG_MAP_RESULT,
	MSG_LISTENING,
	MSG_PROGRESS,
	MSG_PASS_DONE,
	MSG_DURABLE,
	MSG_MISMATCH,
	MSG_HOOKS_RESULT,
	MSG_HELD,
	MSG_KEEPER_STATE,
	MSG_TARGET_STATE,
	MSG_BLOCKS,
	MSG_FACTS,
	MSG_MEASURED,
	MSG_LOADED,
	MSG_PIECES,
	MSG_FITTED,
	MSG_GROWN,
	/* requests to any agent */
	MSG_PROBE = 32,
	MSG_LISTEN,
	MSG_CONNECT,
	MSG_ACCEPT,
	MSG_RELAY,
	MSG_CRASH,
	MSG_PLACE_OF,
	MSG_PING, /* wants no answer */
	MSG_INSPECT,
	MSG_ARCHIVE,
	MSG_LOAD,
	MSG_UNLOAD,
	MSG_KEXEC,
	/* requests to the source's agent */
	MSG_OPEN_SOURCE = 48,
	MSG_MAP,
	MSG_PASS,
	MSG_MARK,
	MSG_BACKLOG,
	MSG_READ_BLOCKS,
	MSG_MEASURE,
	MSG_SAMPLE,
	MSG_LIE,
	/* requests to the keeper, passed on by the source's agent */
	MSG_SETTLE = 64,
	MSG_ARM,
	MSG_RENEW,
	MSG_HOLD,
	MSG_COMMIT,
	MSG_RELEASE,
	MSG_KEEPER,
	MSG_UNFENCE,
	MSG_END,
	MSG_RETRACK,
	MSG_HUSH,
	/* requests to the target's agent */
	MSG_OPEN_TARGET = 80,
	MSG_PUBLISH,
	MSG_WIPE,
	MSG_CLOSE_TARGET,
	MSG_HOOKS,
	MSG_KEEP_FILE,
	MSG_DROP_FILE,
	MSG_OPEN_SINK,
	MSG_FIT,
	MSG_BOOT,
	MSG_GROW,
	MSG_EXPORT,
	MSG_UNEXPORT,
	/* lanes relayed through the controller, raw payload: u32 lane, bytes */
	MSG_RELAY_DATA = 112,
	MSG_RELAY_CREDIT,
	MSG_RELAY_END,
	/* connections to an export, raw payload: u32 stream, bytes */
	MSG_STREAM_OPEN,
	MSG_STREAM_DATA,
	MSG_STREAM_CREDIT,
	MSG_STREAM_END,
	MSG_TYPE_MAX = 128,
};

/* Who may send it. */
enum {
	FROM_CONTROLLER = 1,
	FROM_SOURCE = 2,
	FROM_TARGET = 4,
	FROM_KEEPER = 8,
	FROM_AGENT = FROM_SOURCE | FROM_TARGET,
};

/* The state that an agent must be in to accept a request. */
enum {
	IN_NEW = 1,	 /* nothing opened yet */
	IN_SOURCE = 2,	 /* has opened a source */
	IN_TARGET = 4,	 /* has opened a target */
	IN_PASS = 8,	 /* a pass, or another long job, is running */
	IN_MEASURE = 16, /* has opened sources for an estimate alone */
	IN_QUIET = IN_NEW | IN_SOURCE | IN_TARGET,
	IN_ANY = IN_QUIET | IN_PASS,
};

struct message_def {
	const char *name;
	const struct shape *shape;
	uint8_t from;	/* FROM_… bits; 0 = no such message */
	uint8_t in;	/* IN_… bits, requests only */
	uint8_t answer; /* enum message_type, requests only */
	uint32_t max;	/* greatest payload */
};

/* The definition of a type, or NULL when there is none. */
const struct message_def *message_def(uint32_t type);

/* Greatest payload of any message. */
#define MESSAGE_MAX (1024 * 1024)
/* Payload of one relayed piece, without the lane number. */
#define RELAY_PIECE 65536
/* What a lane may have on its way through the controller. */
#define RELAY_WINDOW (4 * 1024 * 1024)
#define LANES_MAX 16
/* Connections to an export: how many at once, and what may be on its way in
 * each, to the client and from it. */
#define STREAMS_MAX 64
#define STREAM_WINDOW (512 * 1024)
#define STREAM_ASKS 8192

/* "any", bytes to hex and so on are in base/parse.h. */
#define BUILD_SIZE 65
#define KEY_SIZE 32
#define SECRET_SIZE 192 /* at least XXH3_SECRET_SIZE_MIN */
#define EXTENTS_MAX 4096
#define HOOKS_MAX 8
#define VOLUMES_MAX 32 /* that move together */
#define HELD_MAX 64    /* filesystems that are held still together */

struct msg_text64 {
	char text[64];
};

struct msg_hello {
	char build[BUILD_SIZE];
	char hostname[256];
	char boot_id[40];
	char kernel[128];
	uint32_t uid;
	uint8_t rescue; /* it is a rescue system */
	/* Of SSH_CONNECTION: the own address that ssh was reached at, or "";
	 * its port, or 0; the address on the other side, or "". */
	char ssh_address[64];
	uint32_t ssh_port;
	char ssh_client[64];
	uint32_t n_addresses;
	struct msg_text64 addresses[32]; /* numeric, not loopback */
};

struct msg_error {
	uint32_t code; /* positive errno */
	char what[512], why[1024], todo[512];
};

struct msg_log {
	char text[1024];
};

struct msg_path {
	char path[4096];
};

struct msg_extent {
	uint64_t offset, bytes;
};

struct msg_extents {
	uint32_t n;
	struct msg_extent v[EXTENTS_MAX];
};

/* ---- lanes ---- */

struct msg_listen {
	uint32_t low, high;
	uint8_t key[KEY_SIZE];
};

struct msg_listening {
	uint32_t port;
};

/* generation numbers the sets of lanes of a session, so that what was said on
 * an old set is not taken for the new one. */
struct msg_connect {
	uint8_t key[KEY_SIZE];
	uint32_t port, lanes, generation;
	uint32_t n_addresses;
	struct msg_text64 addresses[34];
};

struct msg_lanes {
	uint32_t lanes, generation;
	uint32_t timeout_ms;
};

/* ---- source ---- */

struct msg_open_source {
	uint32_t n;
	struct msg_path v[VOLUMES_MAX];
	/* All that lies on the disks moves, whatever is between: partitions,
	 * volumes, arrays. */
	uint8_t machine;
	char name[64];
	uint8_t key[KEY_SIZE];	     /* of the move: who knows it may attach */
	uint8_t secret[SECRET_SIZE]; /* of the digests */
	uint64_t linger_ms;
	uint8_t track; /* 0: compare only */
	/* Tests only: see tracker_drop_every and tracker_start. */
	uint32_t test_drop_every, test_trace_kb;
	uint8_t attach; /* 1: only to a keeper that there is */
};

struct msg_source_state {
	uint8_t fresh;	  /* the keeper is new: nothing is known */
	uint64_t keeper;  /* which one it is: a random number below 2^63 */
	uint8_t tracking; /* a tracker runs and is not lost */
	char reason[512]; /* why not */
	uint64_t size;
	uint32_t granule;
	/* bytes */
	uint64_t dirty, unproved, known, inflight;
	uint64_t written; /* by others, inside the volume, so far */
	uint64_t unexplained, suspect; /* answers MARK with differ */
	uint64_t hwm_kb;	       /* agent and keeper together, VmHWM */
};

struct msg_map_result {
	uint8_t mapped;	  /* 0: everything counts as used */
	char reason[512]; /* why */
	uint64_t used, added;
};

enum pass_kind { PASS_SEND = 1, PASS_COMPARE = 2 };
enum compress { COMPRESS_NEVER, COMPRESS_ADAPT, COMPRESS_ALWAYS };

struct msg_pass {
	uint32_t number;
	uint8_t kind;
	uint8_t idle;	   /* be a good guest: idle I/O class */
	uint8_t compress;  /* enum compress */
	uint64_t bwlimit;  /* bytes a second on the wire; 0 none */
	uint64_t budget;   /* compare: stop after so many bytes; 0 all */
	uint32_t limit_ms; /* take nothing more after that time; 0 none */
};

struct msg_progress {
	uint32_t pass;
	uint64_t bytes, sent, zero, total;
};

struct msg_pass_done {
	uint32_t pass;
	uint64_t bytes;	 /* of the volume, handled */
	uint64_t sent;	 /* on the wire */
	uint64_t zero;	 /* of bytes, sent without payload */
	uint64_t chunks; /* digests compared */
	uint64_t differ; /* bytes found different */
	uint64_t ms;
	uint8_t on_target;	/* where the error happened */
	struct msg_error error; /* code 0: the pass is complete and durable */
};

/* All that was sent before the epoch's barrier is on stable storage. */
struct msg_durable {
	uint32_t generation, epoch;
	struct msg_error error;
};

/* Differences found by a compare pass; come before the epoch's DURABLE. */
struct msg_mismatch {
	uint32_t generation, epoch;
	uint32_t n;
	struct msg_extent v[EXTENTS_MAX];
};

struct msg_mark {
	uint8_t unprove; /* everything known has to be proved again */
	uint8_t all;	 /* everything is dirty (or the used, when mapped) */
	uint8_t known;	 /* what is dirty counts as on the target, unproved */
	uint8_t used;	 /* what was in use by the last map and is not known is
			    dirty */
	uint8_t differ;	 /* decide on differences, see sender_differ: 1 live,
			    2 all */
	uint32_t n;
	struct msg_extent v[EXTENTS_MAX]; /* dirty */
};

/* ---- estimate ---- */

#define MEASURE_MAX 64

struct msg_measure {
	uint32_t sample_ms; /* how long to watch what is written */
	uint8_t track;	    /* 0: by the disks' own counts only */
	uint8_t secret[SECRET_SIZE];
	uint32_t n;
	struct msg_path v[MEASURE_MAX];
};

enum writes_by {
	WRITES_UNKNOWN, /* not a disk */
	WRITES_TRACKED, /* by events, every block once */
	WRITES_COUNTED, /* by the disk's count, blocks as often as written */
};

struct msg_measured_volume {
	char path[4096]; /* resolved */
	char fstype[32];
	char mount[256]; /* where, cut if need be; "" nowhere */
	uint64_t size, used;
	uint8_t mapped;	  /* 0: everything counts as used */
	char reason[256]; /* why */
	uint8_t by;	  /* enum writes_by */
	char why[256];	  /* it is not tracked */
	/* In the sample: bytes as often as written, and those of different
	 * blocks in its first half and in all of it. */
	uint64_t written, half, distinct;
};

struct msg_measured {
	uint64_t size; /* of all of them, one behind the other */
	uint32_t granule;
	uint64_t sample_ms; /* that the sample took */
	uint64_t map_ms;    /* to sync and to read the used maps */
	uint32_t n;
	struct msg_measured_volume v[MEASURE_MAX];
};

/* What a pass sends: see maps_sample. */
struct msg_sample {
	uint64_t bytes, piece;
	uint32_t shift;
};

/* ---- keeper ---- */

struct msg_settle {
	uint8_t live;
	uint32_t timeout_ms;
};

struct msg_hook {
	char command[4096];
};

struct msg_hooks {
	uint8_t secret[SECRET_SIZE]; /* of the move */
	char name[64], phase[32], device[4096];
	uint32_t timeout_ms;
	uint32_t n;
	struct msg_hook v[HOOKS_MAX];
};

struct msg_peer {
	char text[64]; /* numeric address */
	uint32_t port; /* of the source, all that it has by TCP; 0: all */
};

#define PEERS_MAX 32
struct msg_peers {
	uint32_t n;
	struct msg_peer v[PEERS_MAX];
};

struct msg_arm {
	/* With the freeze the machine's network is cut but for these. */
	uint8_t network;
	struct msg_peers peers;
	uint32_t lease_ms;
	char name[64], device[4096];
	uint32_t hook_timeout_ms;
	uint32_t n_quiesce;
	struct msg_hook quiesce[HOOKS_MAX];
	uint32_t n_rollback;
	struct msg_hook rollback[HOOKS_MAX];
};

struct msg_hooks_result {
	uint32_t failed; /* 0, or the number (from 1) of the hook that failed */
	char why[256];
	char output[16384];
	uint64_t ms;
	char stuck[512]; /* RELEASE and UNFENCE: what could not be let go */
};

struct msg_renew {
	uint32_t lease_ms;
};

enum hold_kind { HOLD_NONE, HOLD_FROZEN, HOLD_UNMOUNTED };

/* A filesystem that is held still, and how. */
enum held_how { HELD_FROZEN = 1, HELD_READONLY };
struct msg_held_mount {
	char point[4096];
	uint8_t how; /* enum held_how */
};

struct msg_held {
	uint8_t kind; /* enum hold_kind */
	uint64_t sync_ms, freeze_ms;
	uint32_t n_mounts; /* of the filesystems */
	struct msg_held_mount mounts[HELD_MAX];
	char network[256]; /* how it is cut; "" when it is not */
};

enum fence_kind { FENCE_AUTO, FENCE_FREEZE, FENCE_UNMOUNTED, FENCE_SIGNATURE };

struct msg_commit {
	uint8_t fence; /* not AUTO */
	uint32_t n;    /* blocks to remove, FENCE_SIGNATURE */
	struct msg_extent v[PROBE_SIGNATURES_MAX];
};

enum keeper_phase {
	KEEPER_IDLE = 1,
	KEEPER_QUIESCING,
	KEEPER_QUIESCED,
	KEEPER_HOLDING, /* the freeze is being made */
	KEEPER_HELD,
	KEEPER_FENCING,
	KEEPER_COMMITTED,
	KEEPER_RELEASING,
};

struct msg_keeper_state {
	uint8_t present;    /* 0: there is none */
	uint32_t phase;	    /* enum keeper_phase */
	uint8_t hold;	    /* enum hold_kind */
	uint8_t fence;	    /* enum fence_kind, when committed */
	uint32_t rollbacks; /* how often it thawed by itself */
	char reason[512];   /* why, the last time */
	char network[256];  /* how it is fenced: netfence_text; "": it is not */
};

struct msg_end {
	uint8_t confirm;  /* also of a committed one */
	uint8_t poweroff; /* and the machine with it, held as it is */
};

struct msg_release {
	uint8_t rollback; /* run the rollback hooks */
};

/* Blocks of the source by content: signatures to save and to put back. */
#define SIGNATURE_BLOCK 4096
struct msg_block {
	uint64_t offset;
	uint32_t n;
	uint8_t data[SIGNATURE_BLOCK];
};

struct msg_blocks {
	char path[4096];
	uint32_t n;
	struct msg_block v[PROBE_SIGNATURES_MAX];
};

struct msg_unfence {
	uint8_t rollback; /* run the rollback hooks afterwards */
	uint32_t hook_timeout_ms;
	char name[64], device[4096];
	uint32_t n_mounts; /* that a keeper which is no more may have held */
	struct msg_held_mount mounts[HELD_MAX];
	uint32_t n_rollback;
	struct msg_hook rollback_hooks[HOOKS_MAX];
	uint32_t n;
	struct msg_block v[PROBE_SIGNATURES_MAX]; /* put back first */
};

/* ---- target ---- */

struct msg_target_disk {
	char path[4096];
	uint64_t size; /* of the source */
	uint32_t source_logical;
	char overwrite[256];  /* identity, or "" */
	char source_uuid[64]; /* what a replica of ours may show, on resume */
};

struct msg_open_target {
	char name[64];
	uint32_t n; /* as many as the source has, in the same order */
	struct msg_target_disk v[VOLUMES_MAX];
	uint8_t create; /* a file may be made */
	uint8_t resume; /* it is ours already */
	uint8_t whole;	/* all but what is withheld is there: see target_open */
	uint8_t check;	/* only say whether it may be used */
	uint8_t trial;	/* one disk, for an estimate: see target_open */
	uint8_t secret[SECRET_SIZE];
	uint32_t n_withhold;
	struct msg_extent withhold[PROBE_SIGNATURES_MAX];
};

/* A target that keeps nothing, for measuring a link. */
struct msg_open_sink {
	uint64_t size;
	uint8_t secret[SECRET_SIZE];
};

struct msg_target_state {
	uint64_t size;
	uint64_t hwm_kb;
};

struct msg_file {
	char name[64]; /* of the move */
	struct msg_blocks blocks;
};

#define MODALIASES_MAX 256
struct msg_modalias {
	char text[512];
};

/* What the machine is: text of rehost-facts(5), in parts. */
struct msg_inspect {
	uint64_t offset; /* 0: gather it now; else what is left of it */
	uint32_t sample_ms;
	/* Of another machine's controllers: which drivers are there for
	 * them? */
	uint32_t n_modaliases;
	struct msg_modalias modaliases[MODALIASES_MAX];
};

#define FACTS_PART (512 * 1024)
struct msg_facts {
	uint64_t total;
	uint32_t n;
	uint8_t data[FACTS_PART]; /* from the offset that was asked for */
};

/* The controller's part of a rescue system, packed by zstd, in parts: see
 * rehost-rescue(7), TAKEOVER. */
#define ARCHIVE_MAX (64U << 20) /* packed or not */
#define ARCHIVE_PART (512 * 1024)
struct msg_archive {
	uint64_t total;
	uint64_t offset; /* where the part before ended; 0 begins anew */
	uint32_t n;
	uint8_t data[ARCHIVE_PART];
};

#define KERNEL_LINE 2048
#define LOAD_KEYS 65536
/* Loads a kernel of this machine, with that archive and its own. */
struct msg_load {
	uint64_t unpacked; /* bytes of the archive */
	char cmdline[KERNEL_LINE];
	uint32_t n_keys;
	uint8_t keys[LOAD_KEYS]; /* further lines of authorized_keys */
	uint32_t n_offered;
	uint8_t offered[LOAD_KEYS]; /* the keys that the user's ssh has */
};

struct msg_loaded {
	char version[128]; /* of the kernel */
	char kernel[512];  /* its path */
	char user[256];	   /* who logged in */
	uint32_t modules, host_keys, logins, logins_left;
	uint32_t known; /* of the offered keys, those that may log in */
	uint64_t bytes; /* of the archive as a whole */
};

/* ---- machines ---- */

/* An array of the md driver on the volumes that move, as its metadata knows it
 * (volume/array.h); its members are in no order. */
#define MEMBERS_MAX 32
#define ARRAYS_MAX 8 /* of a machine, of those that are put together */
struct msg_member {
	uint32_t disk;
	uint64_t at, bytes;
};

struct msg_array {
	char name[64]; /* as the source calls it */
	uint32_t minor;
	uint32_t n;
	struct msg_member v[MEMBERS_MAX];
};

/* Where a device lies on the volumes that move: bytes at volume of the device
 * are bytes at at of the disk with that number, or, from VOLUMES_MAX on, of
 * one of these arrays. */
#define PIECES_MAX 64
struct msg_piece {
	uint32_t disk;
	uint64_t at, volume, bytes;
	uint32_t stripes, stripe;
	uint64_t chunk; /* bytes */
};

#define PIECES_ARRAYS_MAX 4 /* that one device lies on */
struct msg_pieces {
	uint32_t n;
	struct msg_piece v[PIECES_MAX];
	uint32_t n_arrays;
	struct msg_array arrays[PIECES_ARRAYS_MAX];
};

/* A filesystem of the moved system, and where it is mounted in it. */
#define FIT_MOUNTS_MAX 32
struct msg_fit_mount {
	char point[1024], type[32], options[256];
	char folder[1024]; /* of it, that is mounted there; "": all of it */
	struct msg_pieces on;
};

/* What the moved system is to become, before it boots on the target. */
#define FIT_WISH_MAX 131072
#define FIT_REPORT_MAX 65536
struct msg_fit {
	uint32_t n_disks; /* the target's, as the volumes of the move */
	struct msg_path disks[VOLUMES_MAX];
	uint32_t n_mounts; /* the root first, others behind those they are in */
	struct msg_fit_mount mounts[FIT_MOUNTS_MAX];
	uint32_t n_wish; /* JSON: see fixup/fixup.h */
	uint8_t wish[FIT_WISH_MAX];
	/* To start by kexec, as paths in the moved system; "" for none. */
	char kernel[1024], initramfs[1024], cmdline[KERNEL_LINE];
	uint8_t secret; /* cmdline lacks one, and is of no use */
};

struct msg_fitted {
	uint8_t loaded;	   /* the kernel is ready to start */
	char why[512];	   /* it is not */
	char skipped[512]; /* mounts that could not be looked into */
	uint64_t ms;
	uint32_t n_report; /* JSON: what was changed */
	uint8_t report[FIT_REPORT_MAX];
};

/* Disks that hold the copy; start: of the partition that is to have the room
 * behind it, 0 for none; source: bytes of the disk that it came from. */
struct msg_grow_disk {
	char path[4096];
	uint64_t start, source;
};
struct msg_grow {
	uint32_t n;
	struct msg_grow_disk v[VOLUMES_MAX];
};

/* As asked for, in that order: see layout/grow.h. */
struct msg_grown_disk {
	uint8_t moved;
	uint32_t number;
	uint64_t from, now;
	char why[768]; /* what could not be done, or "" */
};
struct msg_grown {
	uint32_t n;
	struct msg_grown_disk v[VOLUMES_MAX];
};

enum boot_how { BOOT_KEXEC = 1, BOOT_FIRMWARE, BOOT_POWEROFF };
struct msg_boot {
	uint8_t how; /* enum boot_how */
};

struct msg_crash {
	uint8_t who; /* tests: 0 the agent itself, 1 its keeper, 2 a hook */
};

/* Fills err from a peer's error (code forced to a negative errno). */
void message_to_error(
	const struct msg_error *m, const char *host, struct error *err);
void message_from_error(const struct error *err, struct msg_error *m);

/* How hooks ended; what is stuck stays as it is. */
void message_from_hooks(const struct hook_run *h, struct msg_hooks_result *m);

#endif
