/* SPDX-License-Identifier: Apache-2.0 */
/* Places as users write them. What parses is written as what parses the
 * same. */
#include "fuzz.h"

#include "link/place.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *text = fuzz_text(data, n), buf[8192], shown[8192];
	static struct place p, again;
	struct error err;

	if (place_parse(text, &p, &err) == 0) {
		(void)place_text(&p, buf, sizeof(buf));
		if (place_parse(buf, &again, &err) == 0) {
			fuzz_check(strcmp(p.user, again.user) == 0);
			fuzz_check(strcmp(p.host, again.host) == 0);
			fuzz_check(p.port == again.port);
			fuzz_check(strcmp(p.path, again.path) == 0);
		}
		/* It becomes an argument of ssh. */
		fuzz_check(p.host[0] != '-' && p.user[0] != '-');
	} else {
		(void)error_text(&err, shown, sizeof(shown));
	}
	free(text);
	return 0;
}
