/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs to the provider that the machine leaves: agents that wait for
 * its metadata, set the network, the host's name and the keys, or let its staff
 * in. What serves the hypervisor and asks nobody (open-vm-tools,
 * qemu-guest-agent, hyperv-daemons) stays.
 */
#include "fixup/unit.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Without ".service"; other kinds have their end. Names of SysV and upstart
 * are the same. */
static const char *const agents[] = {
	/* Azure */
	"waagent",
	"walinuxagent",
	"walinuxagent-network-setup",
	/* Google */
	"google-guest-agent",
	"google-guest-agent-manager",
	"google-guest-compat-manager",
	"google-startup-scripts",
	"google-shutdown-scripts",
	"google-osconfig-agent",
	"google-accounts-daemon",
	"google-clock-skew-daemon",
	"google-ip-forwarding-daemon",
	"google-network-daemon",
	"google-network-setup",
	"google-instance-setup",
	"google-oslogin-cache.timer",
	"gce-workload-cert-refresh.timer",
	"google-cloud-ops-agent",
	"stackdriver-agent",
	/* Amazon */
	"amazon-ssm-agent",
	"snap.amazon-ssm-agent.amazon-ssm-agent",
	"amazon-cloudwatch-agent",
	"ec2-instance-connect",
	"ec2-instance-connect-harvest-hostkeys",
	"ec2net-scan",
	"ec2net-ifup@",
	"hibinit-agent",
	"awsagent",
	/* Rackspace and others of OpenStack */
	"nova-agent",
	"rackspace-monitoring-agent",
	"driveclient",
	/* Oracle */
	"oracle-cloud-agent",
	"snap.oracle-cloud-agent.oracle-cloud-agent",
	"snap.oracle-cloud-agent.oracle-cloud-agent-updater",
	"ocid",
	/* DigitalOcean, Alibaba, Tencent, Scaleway */
	"do-agent",
	"droplet-agent",
	"aegis",
	"aliyun",
	"AssistDaemon",
	"cloudmonitor",
	"tat_agent",
	"scw-set-hostname",
	"scw-generate-ssh-keys",
};

static bool has_unit(const struct unit *u, const char *name)
{
	static const char *const folders[] = {"/usr/lib/systemd/system",
		"/lib/systemd/system", "/etc/systemd/system"};
	char path[TREE_PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folders[i], name);
		if (tree_is_there(u->tree, path))
			return true;
	}
	return false;
}

static int mask(struct unit *u, const char *agent)
{
	char name[128], path[TREE_PATH_MAX];
	int r = 0;

	(void)snprintf(name, sizeof(name), "%s%s", agent,
		strstr(agent, ".timer") ? "" : ".service");
	if (!has_unit(u, name))
		return 0;
	(void)snprintf(path, sizeof(path), "/etc/systemd/system/%s", name);
	/* Its owner may want it back. */
	if (tree_is_file(u->tree, path))
		r = unit_keep_old(u, path);
	return r < 0 ? r : unit_link(u, path, "/dev/null", "is switched off");
}

/* "S20waagent" */
static bool is_link_of(const char *name, const char *agent)
{
	return (name[0] == 'S' || name[0] == 'K') &&
	       isdigit((unsigned char)name[1]) &&
	       isdigit((unsigned char)name[2]) && strcmp(name + 3, agent) == 0;
}

static int drop_links(struct unit *u, const char *folder, const char *agent)
{
	CLEANUP(tree_names_done) struct tree_names l = {0};
	char path[TREE_PATH_MAX];
	int r = 0;

	if (tree_list(u->tree, folder, &l) < 0)
		return 0;
	for (size_t i = 0; i < l.n && r == 0; i++) {
		if (!is_link_of(l.v[i], agent))
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", folder, l.v[i]);
		r = unit_remove(u, path, "is switched off");
	}
	return r;
}

/* Started by a script at a runlevel, or by upstart. */
static int disable(struct unit *u, const char *agent)
{
	char path[TREE_PATH_MAX];
	int r = 0;

	(void)snprintf(path, sizeof(path), "/etc/init.d/%s", agent);
	for (int level = 0; tree_is_there(u->tree, path) && level < 7 && r == 0;
		level++) {
		char folder[32];

		(void)snprintf(folder, sizeof(folder), "/etc/rc%d.d", level);
		/* On RHEL this is a link to the other. */
		r = drop_links(u, folder, agent);
		(void)snprintf(
			folder, sizeof(folder), "/etc/rc.d/rc%d.d", level);
		if (r == 0)
			r = drop_links(u, folder, agent);
	}
	(void)snprintf(path, sizeof(path), "/etc/init/%s.conf", agent);
	if (r == 0 && tree_is_file(u->tree, path)) {
		(void)snprintf(
			path, sizeof(path), "/etc/init/%s.override", agent);
		r = unit_put(u, path, "# " UNIT_MADE_BY "\nmanual\n", 0644,
			"is switched off");
	}
	return r;
}

int unit_cloud(struct unit *u)
{
	static const char *const cloud_init[] = {"/usr/bin/cloud-init",
		"/usr/sbin/cloud-init", "/usr/local/bin/cloud-init",
		"/etc/cloud/cloud.cfg", NULL};
	static const char disabled[] = "/etc/cloud/cloud-init.disabled";
	bool systemd = unit_systemd(u)[0] != '\0';
	int r = 0;

	if (unit_program(u, cloud_init) && !tree_is_there(u->tree, disabled))
		r = unit_put(u, disabled, "# " UNIT_MADE_BY "\n", 0644,
			"cloud-init is switched off");
	for (size_t i = 0; i < ARRAY_LEN(agents) && r == 0; i++) {
		if (systemd)
			r = mask(u, agents[i]);
		if (r == 0)
			r = disable(u, agents[i]);
	}
	return r;
}
