/* SPDX-License-Identifier: Apache-2.0 */
/* Text of /proc: sockets, control groups, counters of disks, pressure; and the
 * first bytes of a database's dump. */
#include "fuzz.h"

#include <sys/socket.h>

#include "facts/databases.h"
#include "facts/load.h"
#include "facts/ports.h"
#include "facts/process.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ports_socket s;
	struct load_disk d;
	char buf[32], *text;
	uint64_t v;

	text = fuzz_text(data, n);
	if (ports_parse(text, AF_INET, &s) == 0)
		fuzz_check(s.state <= 0xff);
	free(text);
	text = fuzz_text(data, n);
	if (ports_parse(text, AF_INET6, &s) == 0)
		fuzz_check(s.state <= 0xff);
	free(text);
	text = fuzz_text(data, n);
	if (load_parse_disk(text, &d) == 0)
		fuzz_check(strnlen(d.name, sizeof(d.name)) < sizeof(d.name));
	free(text);
	text = fuzz_text(data, n);
	(void)process_parse_cgroup(text, buf, sizeof(buf));
	fuzz_check(strnlen(buf, sizeof(buf)) < sizeof(buf));
	free(text);
	text = fuzz_text(data, n);
	if (load_parse_hundredths(text, &v) == 0)
		fuzz_check(v <= 100000099);
	free(text);
	if (databases_rdb_version(data, n, buf, sizeof(buf)) == 0)
		fuzz_check(strnlen(buf, sizeof(buf)) < sizeof(buf));
	return 0;
}
