/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
#define DEF(var, s, ...)                                                       \
	static const struct field var##_fields[] = {__VA_ARGS__};              \
	static const struct shape var = SHAPE(s, var##_fields)

static const struct shape empty = SHAPE_EMPTY;
/* Raw bytes: checked by the frame's bound and by the relay itself. */
static const struct shape raw = SHAPE_EMPTY;

DEF(text64, msg_text64, F_STR(msg_text64, text));
DEF(extent, msg_extent, F_U64(msg_extent, offset), F_U64(msg_extent, bytes));
DEF(hook, msg_hook, F_STR(msg_hook, command));
DEF(block, msg_block, F_U64(msg_block, offset),
	F_BLOB(msg_block, n, data));
DEF(mount, mount_info, F_U32(mount_info, major), F_U32(mount_info, minor),
	F_U32(mount_info, dev_major), F_U32(mount_info, dev_minor),
	F_STR(mount_info, point), F_STR(mount_info, type),
	F_U8(mount_info, readonly), F_U8(mount_info, super_readonly));
DEF(signature, signature, F_U64(signature, offset),
	F_U64(signature, bytes), F_STR(signature, name));

DEF(hello, msg_hello, F_STR(msg_hello, build), F_STR(msg_hello, hostname),
	F_STR(msg_hello, boot_id), F_STR(msg_hello, kernel),
	F_U32(msg_hello, uid), F_U8(msg_hello, rescue), F_STR(msg_hello, ssh_address),
	F_U32(msg_hello, ssh_port), F_STR(msg_hello, ssh_client),
	F_LIST(msg_hello, n_addresses, addresses, &text64));
DEF(error, msg_error, F_U32(msg_error, code), F_STR(msg_error, what),
	F_STR(msg_error, why), F_STR(msg_error, todo));
DEF(log_text, msg_log, F_STR(msg_log, text));
DEF(path, msg_path, F_STR(msg_path, path));
DEF(volume, volume_facts, F_U32(volume_facts, kind),
	F_STR(volume_facts, path), F_U64(volume_facts, size),
	F_U32(volume_facts, logical), F_U32(volume_facts, physical),
	F_U32(volume_facts, major), F_U32(volume_facts, minor),
	F_U64(volume_facts, inode), F_U32(volume_facts, disk_major),
	F_U32(volume_facts, disk_minor), F_U64(volume_facts, disk_start),
	F_U64(volume_facts, backing_inode),
	F_U32(volume_facts, backing_major), F_U32(volume_facts, backing_minor),
	F_STR(volume_facts, serial), F_STR(volume_facts, wwn),
	F_STR(volume_facts, uuid), F_STR(volume_facts, fstype),
	F_U8(volume_facts, readonly), F_U8(volume_facts, request_based),
	F_U8(volume_facts, removable), F_U8(volume_facts, zoned),
	F_U8(volume_facts, swap), F_U8(volume_facts, multi_device),
	F_U8(volume_facts, external_journal), F_U8(volume_facts, clean),
	F_U8(volume_facts, empty), F_U8(volume_facts, busy),
	F_U64(volume_facts, written), F_U32(volume_facts, writers),
	F_STR(volume_facts, writer),
	F_U64(volume_facts, holder_count), F_STR(volume_facts, holder),
	F_LIST(volume_facts, n_mounts, mounts, &mount),
	F_U32(volume_facts, n_partitions_mounted),
	F_LIST(volume_facts, n_signatures, signatures, &signature));
DEF(listen, msg_listen, F_U32(msg_listen, low), F_U32(msg_listen, high),
	F_BYTES(msg_listen, key));
DEF(listening, msg_listening, F_U32(msg_listening, port));
DEF(connect, msg_connect, F_BYTES(msg_connect, key),
	F_U32(msg_connect, port), F_U32(msg_connect, lanes),
	F_U32(msg_connect, generation),
	F_LIST(msg_connect, n_addresses, addresses, &text64));
DEF(lanes, msg_lanes, F_U32(msg_lanes, lanes),
	F_U32(msg_lanes, generation),
	F_U32(msg_lanes, timeout_ms));
DEF(open_source, msg_open_source, F_LIST(msg_open_source, n, v, &path),
	F_U8(msg_open_source, machine), F_STR(msg_open_source, name), F_BYTES(msg_open_source, key),
	F_BYTES(msg_open_source, secret), F_U64(msg_open_source, linger_ms),
	F_U8(msg_open_source, track),
	F_U32(msg_open_source, test_drop_every),
	F_U32(msg_open_source, test_trace_kb),
	F_U8(msg_open_source, attach));
DEF(source_state, msg_source_state, F_U8(msg_source_state, fresh),
	F_U64(msg_source_state, keeper), F_U8(msg_source_state, tracking), F_STR(msg_source_state, reason),
	F_U64(msg_source_state, size), F_U32(msg_source_state, granule),
	F_U64(msg_source_state, dirty), F_U64(msg_source_state, unproved),
	F_U64(msg_source_state, known), F_U64(msg_source_state, inflight),
	F_U64(msg_source_state, written),
	F_U64(msg_source_state, unexplained),
	F_U64(msg_source_state, suspect),
	F_U64(msg_source_state, hwm_kb));
DEF(map_result, msg_map_result, F_U8(msg_map_result, mapped),
	F_STR(msg_map_result, reason), F_U64(msg_map_result, used),
	F_U64(msg_map_result, added));
DEF(pass, msg_pass, F_U32(msg_pass, number), F_U8(msg_pass, kind),
	F_U8(msg_pass, idle), F_U8(msg_pass, compress),
	F_U64(msg_pass, bwlimit), F_U64(msg_pass, budget),
	F_U32(msg_pass, limit_ms));
DEF(progress, msg_progress, F_U32(msg_progress, pass),
	F_U64(msg_progress, bytes), F_U64(msg_progress, sent),
	F_U64(msg_progress, zero), F_U64(msg_progress, total));
DEF(pass_done, msg_pass_done, F_U32(msg_pass_done, pass),
	F_U64(msg_pass_done, bytes), F_U64(msg_pass_done, sent),
	F_U64(msg_pass_done, zero), F_U64(msg_pass_done, chunks),
	F_U64(msg_pass_done, differ), F_U64(msg_pass_done, ms),
	F_U8(msg_pass_done, on_target), F_U32(msg_pass_done, error.code), F_STR(msg_pass_done, error.what),
	F_STR(msg_pass_done, error.why), F_STR(msg_pass_done, error.todo));
DEF(durable, msg_durable, F_U32(msg_durable, generation),
	F_U32(msg_durable, epoch),
	F_U32(msg_durable, error.code),
	F_STR(msg_durable, error.what), F_STR(msg_durable, error.why),
	F_STR(msg_durable, error.todo));
DEF(mismatch, msg_mismatch, F_U32(msg_mismatch, generation),
	F_U32(msg_mismatch, epoch),
	F_LIST(msg_mismatch, n, v, &extent));
DEF(mark, msg_mark, F_U8(msg_mark, unprove), F_U8(msg_mark, all),
	F_U8(msg_mark, known), F_U8(msg_mark, used), F_U8(msg_mark, differ), F_LIST(msg_mark, n, v, &extent));
DEF(settle, msg_settle, F_U8(msg_settle, live),
	F_U32(msg_settle, timeout_ms));
DEF(hooks, msg_hooks, F_BYTES(msg_hooks, secret), F_STR(msg_hooks, name), F_STR(msg_hooks, phase),
	F_STR(msg_hooks, device), F_U32(msg_hooks, timeout_ms),
	F_LIST(msg_hooks, n, v, &hook));
DEF(peer, msg_peer, F_STR(msg_peer, text), F_U32(msg_peer, port));
DEF(peers, msg_peers, F_LIST(msg_peers, n, v, &peer));
DEF(arm, msg_arm, F_U8(msg_arm, network),
	F_LIST(msg_arm, peers.n, peers.v, &peer), F_U32(msg_arm, lease_ms), F_STR(msg_arm, name),
	F_STR(msg_arm, device), F_U32(msg_arm, hook_timeout_ms),
	F_LIST(msg_arm, n_quiesce, quiesce, &hook),
	F_LIST(msg_arm, n_rollback, rollback, &hook));
DEF(hooks_result, msg_hooks_result, F_U32(msg_hooks_result, failed),
	F_STR(msg_hooks_result, why), F_STR(msg_hooks_result, output),
	F_U64(msg_hooks_result, ms), F_STR(msg_hooks_result, stuck));
DEF(renew, msg_renew, F_U32(msg_renew, lease_ms));
DEF(held_mount, msg_held_mount, F_STR(msg_held_mount, point),
	F_U8(msg_held_mount, how));
DEF(held, msg_held, F_U8(msg_held, kind), F_U64(msg_held, sync_ms),
	F_U64(msg_held, freeze_ms),
	F_LIST(msg_held, n_mounts, mounts, &held_mount),
	F_STR(msg_held, network));
DEF(commit, msg_commit, F_U8(msg_commit, fence),
	F_LIST(msg_commit, n, v, &extent));
DEF(keeper_state, msg_keeper_state, F_U8(msg_keeper_state, present),
	F_U32(msg_keeper_state, phase), F_U8(msg_keeper_state, hold),
	F_U8(msg_keeper_state, fence), F_U32(msg_keeper_state, rollbacks),
	F_STR(msg_keeper_state, reason), F_STR(msg_keeper_state, network));
DEF(end, msg_end, F_U8(msg_end, confirm), F_U8(msg_end, poweroff));
DEF(release, msg_release, F_U8(msg_release, rollback));
DEF(blocks, msg_blocks, F_STR(msg_blocks, path),
	F_LIST(msg_blocks, n, v, &block));
DEF(unfence, msg_unfence, F_U8(msg_unfence, rollback),
	F_U32(msg_unfence, hook_timeout_ms), F_STR(msg_unfence, name),
	F_STR(msg_unfence, device),
	F_LIST(msg_unfence, n_mounts, mounts, &held_mount),
	F_LIST(msg_unfence, n_rollback, rollback_hooks, &hook),
	F_LIST(msg_unfence, n, v, &block));
DEF(target_disk, msg_target_disk, F_STR(msg_target_disk, path),
	F_U64(msg_target_disk, size), F_U32(msg_target_disk, source_logical),
	F_STR(msg_target_disk, overwrite),
	F_STR(msg_target_disk, source_uuid));
DEF(open_target, msg_open_target, F_STR(msg_open_target, name),
	F_LIST(msg_open_target, n, v, &target_disk),
	F_U8(msg_open_target, create), F_U8(msg_open_target, resume),
	F_U8(msg_open_target, whole), F_U8(msg_open_target, check), F_U8(msg_open_target, trial),
	F_BYTES(msg_open_target, secret),
	F_LIST(msg_open_target, n_withhold, withhold, &extent));
DEF(target_state, msg_target_state, F_U64(msg_target_state, size),
	F_U64(msg_target_state, hwm_kb));
DEF(file, msg_file, F_STR(msg_file, name),
	F_STR(msg_file, blocks.path), F_LIST(msg_file, blocks.n, blocks.v, &block));
DEF(modalias, msg_modalias, F_STR(msg_modalias, text));
DEF(inspect, msg_inspect, F_U64(msg_inspect, offset),
	F_U32(msg_inspect, sample_ms),
	F_LIST(msg_inspect, n_modaliases, modaliases, &modalias));
DEF(facts, msg_facts, F_U64(msg_facts, total), F_BLOB(msg_facts, n, data));
DEF(measure, msg_measure, F_U32(msg_measure, sample_ms),
	F_U8(msg_measure, track), F_BYTES(msg_measure, secret),
	F_LIST(msg_measure, n, v, &path));
DEF(measured_volume, msg_measured_volume, F_STR(msg_measured_volume, path),
	F_STR(msg_measured_volume, fstype), F_STR(msg_measured_volume, mount),
	F_U64(msg_measured_volume, size), F_U64(msg_measured_volume, used),
	F_U8(msg_measured_volume, mapped), F_STR(msg_measured_volume, reason),
	F_U8(msg_measured_volume, by), F_STR(msg_measured_volume, why),
	F_U64(msg_measured_volume, written), F_U64(msg_measured_volume, half),
	F_U64(msg_measured_volume, distinct));
DEF(measured, msg_measured, F_U64(msg_measured, size),
	F_U32(msg_measured, granule), F_U64(msg_measured, sample_ms),
	F_U64(msg_measured, map_ms),
	F_LIST(msg_measured, n, v, &measured_volume));
DEF(sample, msg_sample, F_U64(msg_sample, bytes), F_U64(msg_sample, piece),
	F_U32(msg_sample, shift));
DEF(open_sink, msg_open_sink, F_U64(msg_open_sink, size),
	F_BYTES(msg_open_sink, secret));
DEF(archive, msg_archive, F_U64(msg_archive, total),
	F_U64(msg_archive, offset), F_BLOB(msg_archive, n, data));
DEF(load, msg_load, F_U64(msg_load, unpacked), F_STR(msg_load, cmdline),
	F_BLOB(msg_load, n_keys, keys), F_BLOB(msg_load, n_offered, offered));
DEF(loaded, msg_loaded, F_STR(msg_loaded, version),
	F_STR(msg_loaded, kernel), F_STR(msg_loaded, user),
	F_U32(msg_loaded, modules), F_U32(msg_loaded, host_keys),
	F_U32(msg_loaded, logins), F_U32(msg_loaded, logins_left),
	F_U32(msg_loaded, known), F_U64(msg_loaded, bytes));
DEF(piece, msg_piece, F_U32(msg_piece, disk), F_U64(msg_piece, at),
	F_U64(msg_piece, volume), F_U64(msg_piece, bytes),
	F_U32(msg_piece, stripes), F_U32(msg_piece, stripe),
	F_U64(msg_piece, chunk));
DEF(member, msg_member, F_U32(msg_member, disk), F_U64(msg_member, at),
	F_U64(msg_member, bytes));
DEF(array, msg_array, F_STR(msg_array, name), F_U32(msg_array, minor),
	F_LIST(msg_array, n, v, &member));
DEF(pieces, msg_pieces, F_LIST(msg_pieces, n, v, &piece),
	F_LIST(msg_pieces, n_arrays, arrays, &array));
DEF(fit_mount, msg_fit_mount, F_STR(msg_fit_mount, point),
	F_STR(msg_fit_mount, type), F_STR(msg_fit_mount, options),
	F_STR(msg_fit_mount, folder),
	F_LIST(msg_fit_mount, on.n, on.v, &piece),
	F_LIST(msg_fit_mount, on.n_arrays, on.arrays, &array));
DEF(fit, msg_fit, F_LIST(msg_fit, n_disks, disks, &path),
	F_LIST(msg_fit, n_mounts, mounts, &fit_mount),
	F_BLOB(msg_fit, n_wish, wish), F_STR(msg_fit, kernel),
	F_STR(msg_fit, initramfs), F_STR(msg_fit, cmdline),
	F_U8(msg_fit, secret));
DEF(fitted, msg_fitted, F_U8(msg_fitted, loaded), F_STR(msg_fitted, why),
	F_STR(msg_fitted, skipped),
	F_U64(msg_fitted, ms), F_BLOB(msg_fitted, n_report, report));
DEF(grow_disk, msg_grow_disk, F_STR(msg_grow_disk, path),
	F_U64(msg_grow_disk, start), F_U64(msg_grow_disk, source));
DEF(grow, msg_grow, F_LIST(msg_grow, n, v, &grow_disk));
DEF(grown_disk, msg_grown_disk, F_U8(msg_grown_disk, moved),
	F_U32(msg_grown_disk, number), F_U64(msg_grown_disk, from),
	F_U64(msg_grown_disk, now), F_STR(msg_grown_disk, why));
DEF(grown, msg_grown, F_LIST(msg_grown, n, v, &grown_disk));
DEF(boot, msg_boot, F_U8(msg_boot, how));
DEF(crash, msg_crash, F_U8(msg_crash, who));

#define REQ(type, shape, in, answer)                                           \
	[type] = {#type, shape, FROM_CONTROLLER, in, answer, 0}
#define IN_LANES (IN_SOURCE | IN_TARGET | IN_MEASURE)
#define ANS(type, shape, from) [type] = {#type, shape, from, 0, 0, 0}
#define RAW(type, size)                                                        \
	[type] = {#type, &raw, FROM_CONTROLLER | FROM_AGENT, IN_ANY, 0, size}
#define STREAM(type, size)                                                     \
	[type] = {#type, &raw, FROM_CONTROLLER | FROM_TARGET, IN_ANY, 0, size}

static const struct message_def table[MSG_TYPE_MAX] = {
	ANS(MSG_HELLO, &hello, FROM_AGENT),
	ANS(MSG_ERROR, &error, FROM_AGENT | FROM_KEEPER),
	ANS(MSG_OK, &empty, FROM_AGENT | FROM_KEEPER),
	ANS(MSG_LOG, &log_text, FROM_AGENT | FROM_KEEPER),
	ANS(MSG_VOLUME, &volume, FROM_AGENT),
	ANS(MSG_SOURCE_STATE, &source_state, FROM_SOURCE),
	ANS(MSG_MAP_RESULT, &map_result, FROM_SOURCE),
	ANS(MSG_LISTENING, &listening, FROM_AGENT),
	ANS(MSG_PROGRESS, &progress, FROM_SOURCE),
	ANS(MSG_PASS_DONE, &pass_done, FROM_SOURCE),
	/* The controller passes these two on to the source. */
	[MSG_DURABLE] = {"MSG_DURABLE", &durable,
		FROM_TARGET | FROM_CONTROLLER, IN_SOURCE | IN_PASS, 0, 0},
	[MSG_MISMATCH] = {"MSG_MISMATCH", &mismatch,
		FROM_TARGET | FROM_CONTROLLER, IN_SOURCE | IN_PASS, 0, 0},
	ANS(MSG_HOOKS_RESULT, &hooks_result, FROM_AGENT | FROM_KEEPER),
	ANS(MSG_HELD, &held, FROM_SOURCE | FROM_KEEPER),
	ANS(MSG_KEEPER_STATE, &keeper_state, FROM_SOURCE | FROM_KEEPER),
	ANS(MSG_TARGET_STATE, &target_state, FROM_TARGET),
	ANS(MSG_BLOCKS, &blocks, FROM_AGENT),
	ANS(MSG_FACTS, &facts, FROM_AGENT),
	ANS(MSG_MEASURED, &measured, FROM_SOURCE),
	ANS(MSG_LOADED, &loaded, FROM_AGENT),
	ANS(MSG_PIECES, &pieces, FROM_SOURCE),
	ANS(MSG_FITTED, &fitted, FROM_TARGET),
	ANS(MSG_GROWN, &grown, FROM_TARGET),

	REQ(MSG_PROBE, &path, IN_QUIET, MSG_VOLUME),
	REQ(MSG_PLACE_OF, &path, IN_QUIET, MSG_VOLUME),
	REQ(MSG_LISTEN, &listen, IN_LANES, MSG_LISTENING),
	REQ(MSG_CONNECT, &connect, IN_LANES, MSG_OK),
	REQ(MSG_ACCEPT, &lanes, IN_LANES, MSG_OK),
	REQ(MSG_RELAY, &lanes, IN_LANES, MSG_OK),
	[MSG_PING] = {"MSG_PING", &empty, FROM_CONTROLLER, IN_ANY, 0, 0},
	REQ(MSG_CRASH, &crash, IN_ANY, MSG_OK),
	REQ(MSG_INSPECT, &inspect, IN_QUIET, MSG_FACTS),
	REQ(MSG_ARCHIVE, &archive, IN_NEW, MSG_OK),
	REQ(MSG_LOAD, &load, IN_NEW, MSG_LOADED),
	REQ(MSG_UNLOAD, &empty, IN_NEW, MSG_OK),
	REQ(MSG_KEXEC, &empty, IN_NEW, MSG_OK),

	REQ(MSG_OPEN_SOURCE, &open_source, IN_NEW, MSG_SOURCE_STATE),
	REQ(MSG_MAP, &empty, IN_SOURCE, MSG_MAP_RESULT),
	REQ(MSG_PASS, &pass, IN_SOURCE | IN_MEASURE, MSG_PASS_DONE),
	REQ(MSG_MARK, &mark, IN_SOURCE, MSG_SOURCE_STATE),
	REQ(MSG_BACKLOG, &empty, IN_SOURCE | IN_PASS, MSG_SOURCE_STATE),
	REQ(MSG_READ_BLOCKS, &commit, IN_SOURCE, MSG_BLOCKS),
	REQ(MSG_MEASURE, &measure, IN_NEW, MSG_MEASURED),
	REQ(MSG_SAMPLE, &sample, IN_MEASURE, MSG_OK),
	REQ(MSG_LIE, &path, IN_SOURCE, MSG_PIECES),

	REQ(MSG_SETTLE, &settle, IN_SOURCE, MSG_OK),
	REQ(MSG_ARM, &arm, IN_SOURCE, MSG_HOOKS_RESULT),
	REQ(MSG_RENEW, &renew, IN_SOURCE | IN_PASS, MSG_OK),
	REQ(MSG_HOLD, &empty, IN_SOURCE, MSG_HELD),
	REQ(MSG_COMMIT, &commit, IN_SOURCE, MSG_OK),
	REQ(MSG_RELEASE, &release, IN_SOURCE | IN_PASS, MSG_HOOKS_RESULT),
	REQ(MSG_KEEPER, &empty, IN_SOURCE | IN_PASS, MSG_KEEPER_STATE),
	REQ(MSG_UNFENCE, &unfence, IN_SOURCE, MSG_HOOKS_RESULT),
	REQ(MSG_END, &end, IN_SOURCE | IN_PASS, MSG_OK),
	REQ(MSG_RETRACK, &empty, IN_SOURCE, MSG_OK),
	REQ(MSG_HUSH, &peers, IN_SOURCE, MSG_OK),

	REQ(MSG_OPEN_TARGET, &open_target, IN_NEW, MSG_TARGET_STATE),
	REQ(MSG_PUBLISH, &blocks, IN_TARGET, MSG_TARGET_STATE),
	REQ(MSG_WIPE, &empty, IN_TARGET, MSG_OK),
	REQ(MSG_CLOSE_TARGET, &empty, IN_TARGET, MSG_OK),
	REQ(MSG_HOOKS, &hooks, IN_QUIET, MSG_HOOKS_RESULT),
	REQ(MSG_KEEP_FILE, &file, IN_QUIET, MSG_OK),
	REQ(MSG_DROP_FILE, &path, IN_QUIET, MSG_OK),
	REQ(MSG_OPEN_SINK, &open_sink, IN_NEW, MSG_TARGET_STATE),
	REQ(MSG_FIT, &fit, IN_NEW, MSG_FITTED),
	REQ(MSG_BOOT, &boot, IN_NEW, MSG_OK),
	REQ(MSG_GROW, &grow, IN_NEW, MSG_GROWN),
	REQ(MSG_EXPORT, &empty, IN_TARGET, MSG_OK),
	REQ(MSG_UNEXPORT, &empty, IN_TARGET, MSG_OK),

	RAW(MSG_RELAY_DATA, RELAY_PIECE + 4),
	RAW(MSG_RELAY_CREDIT, 8),
	RAW(MSG_RELAY_END, 4),
	STREAM(MSG_STREAM_OPEN, 4),
	STREAM(MSG_STREAM_DATA, RELAY_PIECE + 4),
	STREAM(MSG_STREAM_CREDIT, 8),
	STREAM(MSG_STREAM_END, 4),
};
/* clang-format on */

const struct message_def *message_def(uint32_t type)
{
	return type < MSG_TYPE_MAX && table[type].from ? &table[type] : NULL;
}

void message_to_error(
	const struct msg_error *m, const char *host, struct error *err)
{
	int code = m->code > 0 && m->code < 4096 ? -(int)m->code : -EPROTO;

	error_set(err, code, "%s", m->what);
	error_why(err, "%s", m->why);
	error_todo(err, "%s", m->todo);
	error_host(err, host);
}

void message_from_error(const struct error *err, struct msg_error *m)
{
	memset(m, 0, sizeof(*m));
	m->code = (uint32_t)-err->code;
	(void)snprintf(m->what, sizeof(m->what), "%s", err->what);
	(void)snprintf(m->why, sizeof(m->why), "%s", err->why);
	(void)snprintf(m->todo, sizeof(m->todo), "%s", err->todo);
}

void message_from_hooks(const struct hook_run *h, struct msg_hooks_result *m)
{
	m->failed = h->failed;
	(void)snprintf(m->why, sizeof(m->why), "%s", h->why);
	(void)snprintf(m->output, sizeof(m->output), "%s", h->output);
	m->ms = h->ms;
}
