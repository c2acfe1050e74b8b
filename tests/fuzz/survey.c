/* survey: fuzzes the survey of ebstat and ebhealth with a server's replies (server.h), after a
 * correct handshake when the first byte is odd. */
#include "report/survey.h"

#include "fuzz.h"
#include "server.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *types[] = {(char[]){"t"}, (char[]){"a*"}};
	struct url u;
	struct survey_options ask = {
	    .url = &u, .prefix = "q", .timeout_ms = 2000, .types = types, .n = 2};
	struct bytes out = {0};
	struct survey s;

	if (n == 0)
		return 0;
	server_start(&u, data[0] & 1, data + 1, n - 1);
	survey_take(&s, &ask);
	PROMISE(s.up == (s.error == NULL));
	survey_redis_json(&out, &s);
	survey_streams_json(&out, &s);
	PROMISE(memchr(out.p, '\n', out.len) == NULL);
	survey_free(&s);
	bytes_free(&out);
	server_join();
	return 0;
}
