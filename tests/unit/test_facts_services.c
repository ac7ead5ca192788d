/* SPDX-License-Identifier: Apache-2.0 */
/* Services, ports, databases and load. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "facts/databases.h"
#include "facts/load.h"
#include "facts/ports.h"
#include "facts/process.h"
#include "facts_tree.h"

#define CGROUP "/sys/fs/cgroup"
#define WANTS "/etc/systemd/system/multi-user.target.wants/"

static const json_t *gathered(const char *key, void (*fn)(struct gather *g))
{
	return json_object_get(tree_gather_with(tree, fn), key);
}

static json_int_t number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static bool is_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static bool is_false(const json_t *o, const char *key)
{
	return json_is_false(json_object_get(o, key));
}

static void done(void)
{
	if (getenv("TEST_SHOW"))
		(void)json_dumpf(tree_gather.top, stdout, JSON_INDENT(1));
	json_decref(tree_gather.top);
}

/* ---- services ---- */

static void test_systemd(void **state)
{
	const json_t *list, *s;

	tree_link(WANTS "nginx.service", "/lib/systemd/system/nginx.service");
	tree_link(WANTS "cron.service", "/lib/systemd/system/cron.service");
	tree_link(WANTS "remote-fs.target", "/lib/systemd/system/x.target");
	tree_link("/etc/systemd/system/timers.target.wants/a.timer", "/x");
	tree_put(CGROUP "/system.slice/nginx.service/cgroup.procs", "12\n13\n");
	tree_put(CGROUP "/system.slice/nginx.service/cgroup.events",
		"populated 1\nfrozen 0\n");
	tree_put(CGROUP "/system.slice/cron.service/cgroup.procs", "");
	tree_put(CGROUP "/system.slice/cron.service/cgroup.events",
		"populated 0\n");
	/* With a group of its own for its processes. */
	tree_put(CGROUP "/system.slice/deep.service/cgroup.procs", "");
	tree_put(CGROUP "/system.slice/deep.service/main/cgroup.procs", "77\n");
	tree_put(CGROUP "/system.slice/system-pg.slice/pg@15.service/"
			"cgroup.procs",
		"99\n");
	list = gathered("services", gather_services);
	s = tree_find(list, "name", "nginx.service");
	assert_true(is_true(s, "enabled"));
	assert_true(is_true(s, "running"));
	assert_int_equal(number(s, "pid"), 12);
	s = tree_find(list, "name", "cron.service");
	assert_true(is_true(s, "enabled"));
	assert_true(is_false(s, "running"));
	s = tree_find(list, "name", "deep.service");
	assert_true(is_false(s, "enabled"));
	assert_int_equal(number(s, "pid"), 77);
	assert_int_equal(
		number(tree_find(list, "name", "pg@15.service"), "pid"), 99);
	s = tree_find(list, "name", "a.timer");
	assert_true(is_true(s, "enabled"));
	assert_null(json_object_get(s, "running"));
	assert_null(tree_find(list, "name", "remote-fs.target"));
	done();
}

static void test_hybrid_groups(void **state)
{
	const json_t *s;

	tree_put(CGROUP "/systemd/system.slice/sshd.service/cgroup.procs",
		"5\n");
	s = tree_find(
		gathered("services", gather_services), "name", "sshd.service");
	assert_true(is_true(s, "running"));
	assert_int_equal(number(s, "pid"), 5);
	done();
}

static void test_sysv(void **state)
{
	const json_t *list, *s;

	tree_put("/etc/inittab", "#id:3:initdefault:\nid:2:initdefault:\n");
	tree_link("/etc/rc2.d/S20nginx", "../init.d/nginx");
	tree_link("/etc/rc2.d/K20apache", "../init.d/apache");
	tree_link("/etc/rc2.d/S01unit", "../init.d/unit");
	tree_link("/etc/rc3.d/S20other", "../init.d/other");
	tree_put("/lib/systemd/system/unit.service", "");
	tree_put("/run/nginx.pid", "41\n");
	tree_put("/proc/41/comm", "nginx\n");
	list = gathered("services", gather_services);
	assert_int_equal(json_array_size(list), 1);
	s = json_array_get(list, 0);
	assert_string_equal(tree_text(s, "name"), "nginx");
	assert_string_equal(tree_text(s, "kind"), "sysv");
	assert_true(is_true(s, "running"));
	done();
}

static void test_openrc(void **state)
{
	const json_t *list, *s;

	tree_link("/etc/runlevels/default/sshd", "/etc/init.d/sshd");
	tree_link("/etc/runlevels/boot/hostname", "/etc/init.d/hostname");
	tree_link("/etc/runlevels/shutdown/killprocs", "/etc/init.d/killprocs");
	tree_link("/run/openrc/started/sshd", "/etc/init.d/sshd");
	list = gathered("services", gather_services);
	assert_int_equal(json_array_size(list), 2);
	s = tree_find(list, "name", "sshd");
	assert_string_equal(tree_text(s, "kind"), "openrc");
	assert_true(is_true(s, "running"));
	assert_true(is_false(tree_find(list, "name", "hostname"), "running"));
	done();
}

/* ---- ports ---- */

static void test_port_lines(void **state)
{
	static const char good[] =
		"   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 "
		"00:00000000 00000000     0        0 12345 1 0 100 0 0 10 0";
	char line[256];
	struct ports_socket s;

	(void)snprintf(line, sizeof(line), "%s", good);
	assert_int_equal(ports_parse(line, AF_INET, &s), 0);
	assert_int_equal(s.port, 22);
	assert_int_equal(s.state, TCP_LISTEN);
	assert_int_equal(s.inode, 12345);
	(void)snprintf(line, sizeof(line), "%s", good);
	assert_int_equal(ports_parse(line, AF_INET6, &s), -EBADMSG);
	for (size_t n = 0; n < 90; n++) {
		(void)snprintf(line, sizeof(line), "%.*s", (int)n, good);
		assert_int_equal(ports_parse(line, AF_INET, &s), -EBADMSG);
	}
}

static void test_ports(void **state)
{
	static const char head[] = "  sl  local_address rem_address   st\n";
	char text[1024];
	const json_t *list, *p;

	(void)snprintf(text, sizeof(text),
		"%s"
		"   0: 00000000:1538 00000000:0000 0A 0:0 0:0 0 0 0 111 1\n"
		"   1: 00000000:1538 00000000:0000 0A 0:0 0:0 0 0 0 112 1\n"
		"   2: 00000000:1539 00000000:0000 0A 0:0 0:0 0 0 0 333 1\n"
		"   3: 00000000:1540 00000000:0A00 01 0:0 0:0 0 0 0 444 1\n",
		head);
	tree_put("/proc/net/tcp", text);
	(void)snprintf(text, sizeof(text),
		"%s"
		"  0: 00000000000000000000000000000000:0035 "
		"00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 222 "
		"1\n",
		head);
	tree_put("/proc/net/udp6", text);
	tree_put("/proc/1/comm", "systemd\n");
	tree_link("/proc/1/fd/3", "socket:[111]");
	tree_put("/proc/50/comm", "postgres\n");
	tree_put("/proc/50/cgroup", "0::/system.slice/pg@15.service\n");
	tree_link("/proc/50/exe", "/usr/lib/postgresql/15/postgres (deleted)");
	tree_link("/proc/50/fd/3", "socket:[111]");
	tree_link("/proc/50/fd/4", "/dev/null");
	tree_link("/proc/50/fd/5", "socket:[222");
	list = gathered("ports", gather_ports);
	assert_int_equal(json_array_size(list), 3);
	p = json_array_get(list, 0);
	assert_string_equal(tree_text(p, "protocol"), "tcp");
	assert_string_equal(tree_text(p, "address"), "0.0.0.0");
	assert_int_equal(number(p, "port"), 5432);
	assert_int_equal(number(p, "pid"), 50);
	assert_string_equal(tree_text(p, "program"), "postgres");
	assert_string_equal(tree_text(p, "service"), "pg@15.service");
	assert_string_equal(
		tree_text(p, "executable"), "/usr/lib/postgresql/15/postgres");
	p = json_array_get(list, 1);
	assert_int_equal(number(p, "port"), 5433);
	assert_null(json_object_get(p, "pid"));
	p = json_array_get(list, 2);
	assert_string_equal(tree_text(p, "address"), "::");
	assert_int_equal(number(p, "port"), 53);
	done();
}

/* Tables longer than what is read of them: what listens stands first among TCP
 * sockets, so nothing is lost; of UDP's something may be. */
static void test_long_tables(void **state)
{
	static const char tcp[] = "   0: 00000000:0016 00000000:0000 0A 0:0 "
				  "0:0 0 0 0 111 1\n",
			  other[] = "   0: 00000000:0016 0100007F:0A00 01 0:0 "
				    "0:0 0 0 0 444 1\n";
	CLEANUP_FREE char *text = malloc(2U << 20);
	json_t *missing;
	size_t n = sizeof(tcp) - 1;

	assert_non_null(text);
	memcpy(text, tcp, sizeof(tcp));
	while (n < (1U << 20) + 4096) {
		memcpy(text + n, other, sizeof(other));
		n += sizeof(other) - 1;
	}
	tree_put("/proc/net/tcp", text);
	assert_int_equal(json_array_size(gathered("ports", gather_ports)), 1);
	missing = json_object_get(tree_gather.top, "missing");
	assert_null(tree_find(missing, "what", "ports"));
	done();
	tree_put("/proc/net/udp", text);
	assert_int_equal(json_array_size(gathered("ports", gather_ports)), 1);
	missing = json_object_get(tree_gather.top, "missing");
	assert_non_null(tree_find(missing, "what", "ports"));
	done();
}

static void check_group(const char *text, const char *service)
{
	char copy[512], buf[64];

	(void)snprintf(copy, sizeof(copy), "%s", text);
	assert_string_equal(
		process_parse_cgroup(copy, buf, sizeof(buf)), service);
}

static void test_groups(void **state)
{
	check_group("0::/system.slice/nginx.service\n", "nginx.service");
	check_group("12:pids:/a.service\n1:name=systemd:/system.slice/b.service"
		    "\n0::/\n",
		"b.service");
	check_group("0::/user.slice/user-0.slice/user@0.service/app.slice/"
		    "x.service/sub",
		"x.service");
	check_group("0::/system.slice/docker-12.scope", "docker-12.scope");
	check_group("0::/", "");
	check_group("", "");
	check_group("0:", "");
	check_group("0::/.service\n:::", "");
}

/* A socket of this very program. */
static void test_live_port(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	struct timespec now;
	CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	json_t *p, *list, *found = NULL;
	size_t i;

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (void *)&a, &n), 0);
	list = json_object_get(tree_gather_with("/", gather_ports), "ports");
	json_array_foreach(list, i,
		p) if (number(p, "port") == ntohs(a.sin_port) &&
		       strcmp(tree_text(p, "address"), "127.0.0.1") == 0)
		found = p;
	assert_non_null(found);
	assert_int_equal(number(found, "pid"), getpid());
	assert_string_equal(tree_text(found, "program"), "test_facts_serv");
	/* It began with this test, not long ago. */
	assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &now), 0);
	assert_in_range(
		number(found, "started") + 600, now.tv_sec, now.tv_sec + 600);
	done();
}

/* ---- databases ---- */

static void test_databases(void **state)
{
	const json_t *list, *d;
	char block[8192];

	memset(block, 1, sizeof(block));
	tree_put("/var/lib/postgresql/15/main/PG_VERSION", "15\n");
	tree_put_bytes(
		"/var/lib/postgresql/15/main/base/1/2", block, sizeof(block));
	tree_put("/var/lib/postgresql/15/main/postmaster.pid",
		"60\n/var/lib/postgresql/15/main\n1700000000\n5433\n");
	tree_link("/var/lib/postgresql/15/main/pg_wal", "/var/lib");
	tree_put("/var/lib/postgresql/13/old/PG_VERSION", "13\n");
	tree_put("/etc/shadow", "root:$y$j9T$secret:19000:0:99999:7:::\n");
	tree_link("/var/lib/postgresql/12/evil/PG_VERSION", "/etc/shadow");
	tree_put("/proc/60/comm", "postgres\n");
	tree_link("/proc/60/cwd", "/var/lib/postgresql/15/main");
	tree_put("/proc/61/comm", "postgres\n");
	tree_link("/proc/61/cwd", "/var/lib/postgresql/15/main");
	tree_put("/var/lib/mysql/ibdata1", "x");
	tree_put("/var/lib/mysql/aria_log_control", "x");
	tree_put("/var/lib/mysql/mysql_upgrade_info", "10.11.6-MariaDB\n");
	tree_put("/var/lib/redis/dump.rdb", "REDIS0010\xfa\tredis-ver\x06"
					    "7.0.15\xfa\nredis-bits");
	tree_put("/srv/mongo/WiredTiger", "x");
	tree_put("/proc/70/comm", "mongod\n");
	tree_link("/proc/70/cwd", "/");
	tree_put_bytes(
		"/proc/70/cmdline", "mongod\0--dbpath\0/srv/mongo/\0", 28);
	list = gathered("databases", gather_databases);
	assert_int_equal(json_array_size(list), 6);
	d = tree_find(list, "data", "/var/lib/postgresql/12/evil");
	assert_null(json_object_get(d, "version"));
	d = tree_find(list, "data", "/var/lib/postgresql/15/main");
	assert_string_equal(tree_text(d, "kind"), "postgresql");
	assert_string_equal(tree_text(d, "version"), "15");
	assert_true(is_true(d, "running"));
	assert_int_equal(number(d, "port"), 5433);
	assert_true(number(d, "size") >= 8192);
	d = tree_find(list, "data", "/var/lib/postgresql/13/old");
	assert_string_equal(tree_text(d, "version"), "13");
	assert_null(json_object_get(d, "pid"));
	d = tree_find(list, "kind", "mariadb");
	assert_string_equal(tree_text(d, "version"), "10.11.6-MariaDB");
	d = tree_find(list, "kind", "redis");
	assert_string_equal(tree_text(d, "version"), "7.0.15");
	d = tree_find(list, "kind", "mongodb");
	assert_string_equal(tree_text(d, "data"), "/srv/mongo");
	assert_int_equal(number(d, "pid"), 70);
	done();
}

static void test_rdb(void **state)
{
	static const char good[] = "REDIS0010\xfa\tredis-ver\x05"
				   "7.2.4";
	char buf[16];

	assert_int_equal(databases_rdb_version((const uint8_t *)good,
				 sizeof(good) - 1, buf, sizeof(buf)),
		0);
	assert_string_equal(buf, "7.2.4");
	for (size_t n = 0; n < sizeof(good) - 1; n++)
		assert_int_equal(databases_rdb_version((const uint8_t *)good, n,
					 buf, sizeof(buf)),
			-EBADMSG);
	assert_int_equal(databases_rdb_version((const uint8_t *)good,
				 sizeof(good) - 1, buf, 5),
		-EBADMSG);
}

/* Folders in folders, as deep as a path may be. */
static void test_deep_data(void **state)
{
	char path[2048] = "/var/lib/mysql";
	const json_t *list, *d;

	tree_put("/var/lib/mysql/ibdata1", "x");
	while (strlen(path) < 1500) {
		(void)strncat(path, "/sub", sizeof(path) - strlen(path) - 1);
		tree_folder(path);
	}
	list = gathered("databases", gather_databases);
	assert_int_equal(json_array_size(list), 1);
	d = json_array_get(list, 0);
	assert_non_null(json_object_get(d, "size"));
	done();
}

/* ---- load ---- */

static void gather_load_once(struct gather *g)
{
	gather_load(g, g->live ? 20 : 0);
}

static double part(const json_t *load, const char *kind, const char *key)
{
	const json_t *o = json_object_get(load, kind);

	assert_true(json_is_real(json_object_get(o, key)));
	return json_real_value(json_object_get(o, key));
}

static void test_load(void **state)
{
	const json_t *load;

	tree_put("/proc/loadavg", "0.52 1.05 12.00 1/213 4711\n");
	tree_put("/proc/pressure/io",
		"some avg10=2.04 avg60=0.75 avg300=0.40 total=157622151\n"
		"full avg10=1.50 avg60=0.62 avg300=nan total=1\n");
	load = gathered("load", gather_load_once);
	assert_true(part(load, "cpu", "load1") == 0.52);
	assert_true(part(load, "cpu", "load15") == 12.0);
	load = json_object_get(load, "pressure");
	assert_true(part(load, "io", "some_avg10") == 2.04);
	assert_true(part(load, "io", "full_avg60") == 0.62);
	assert_null(
		json_object_get(json_object_get(load, "io"), "full_avg300"));
	done();
}

static void test_hundredths(void **state)
{
	static const char *const bad[] = {"", ".", "1", "1.", ".5", "1.234",
		"-1.0", "1.x", "1.2 ", "99999999.0", "1e3.0", "nan"};
	uint64_t v;

	assert_int_equal(load_parse_hundredths("12.34", &v), 0);
	assert_int_equal(v, 1234);
	assert_int_equal(load_parse_hundredths("0.5", &v), 0);
	assert_int_equal(v, 50);
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(load_parse_hundredths(bad[i], &v), -EBADMSG);
}

static void test_diskstats(void **state)
{
	char line[] = " 254       0 vda 100 1 2000 7 300 4 5000 9 0 1 2 3";
	char none[] = "254 0 vda 1 2";
	char large[] = "1 2 a 1 1 99999999999999999999999 1 1 1 1";
	struct load_disk d;

	assert_int_equal(load_parse_disk(line, &d), 0);
	assert_string_equal(d.name, "vda");
	assert_int_equal(d.reads, 100);
	assert_int_equal(d.read_sectors, 2000);
	assert_int_equal(d.writes, 300);
	assert_int_equal(d.write_sectors, 5000);
	assert_true(load_parse_disk(none, &d) < 0);
	assert_true(load_parse_disk(large, &d) < 0);
}

static void test_live(void **state)
{
	const json_t *top = tree_gather_with("/", gather_load_once);

	assert_true(part(json_object_get(top, "load"), "cpu", "load1") >= 0);
	done();
	top = tree_gather_with("/", gather_services);
	assert_true(json_is_array(json_object_get(top, "services")));
	done();
	top = tree_gather_with("/", gather_databases);
	assert_true(json_is_array(json_object_get(top, "databases")));
	done();
}

/* Of each kind that is not to be had there is one word, not one a process. */
static void test_less_than_root(void **state)
{
	json_t *missing;
	int status;
	pid_t child;

	if (geteuid() != 0)
		skip();
	child = fork();
	if (child == 0) {
		if (setresgid(65534, 65534, 65534) < 0 ||
			setresuid(65534, 65534, 65534) < 0)
			_exit(2);
		(void)tree_gather_with("/", gather_ports);
		missing = json_object_get(tree_gather.top, "missing");
		if (json_array_size(missing) > 1)
			_exit(3);
		json_decref(tree_gather.top);
		(void)tree_gather_with("/", gather_databases);
		missing = json_object_get(tree_gather.top, "missing");
		_exit(json_array_size(missing) > 1 ? 4 : 0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

int main(void)
{
#define IN_TREE(name)                                                          \
	cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)
	const struct CMUnitTest tests[] = {
		IN_TREE(test_systemd),
		IN_TREE(test_hybrid_groups),
		IN_TREE(test_sysv),
		IN_TREE(test_openrc),
		cmocka_unit_test(test_port_lines),
		IN_TREE(test_ports),
		IN_TREE(test_long_tables),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_live_port),
		IN_TREE(test_databases),
		cmocka_unit_test(test_rdb),
		IN_TREE(test_deep_data),
		IN_TREE(test_load),
		cmocka_unit_test(test_hundredths),
		cmocka_unit_test(test_diskstats),
		cmocka_unit_test(test_live),
		cmocka_unit_test(test_less_than_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
