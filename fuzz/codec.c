/* SPDX-License-Identifier: Apache-2.0 */
/* The table of messages: u8 type, then a payload. What decodes says the same
 * bytes again. */
#include "fuzz.h"

#include <errno.h>

#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct message_def *d = n ? message_def(data[0]) : NULL;
	uint64_t max;
	uint8_t *again;
	void *msg;

	if (!d || d->shape->size == 0)
		return 0;
	max = codec_max(d->shape);
	/* As large as they are, so that the sanitizers see their ends. */
	msg = fuzz_alloc(d->shape->size);
	again = fuzz_alloc(max);
	if (codec_decode(d->shape, data + 1, n - 1, msg) == 0) {
		fuzz_check(codec_encode(d->shape, msg, again, max) ==
			   (int64_t)(n - 1));
		fuzz_check(n == 1 || memcmp(again, data + 1, n - 1) == 0);
		if (data[0] == MSG_ERROR) {
			struct error err;
			char text[4096];

			message_to_error(msg, "there", &err);
			fuzz_check(err.code < 0);
			(void)error_text(&err, text, sizeof(text));
		}
	}
	free(msg);
	free(again);
	return 0;
}
