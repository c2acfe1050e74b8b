/* survey: fuzzes the survey of ebstat and ebhealth with a server's replies (server.h), after a
 * correct handshake when the first byte is odd. */
#include "fuzz.h"
#include "report/snapshot.h"
#include "server.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *types[] = {(char[]){"t"}, (char[]){"a*"}};
	struct conf conf = {.prefix = (char[]){"q"}};
	struct survey_options ask = {.conf = &conf, .timeout_ms = 2000, .types = types, .n = 2};
	struct bytes out = {0};
	struct item document = {.json = true};
	struct snapshot snapshot = {0};

	if (n == 0)
		return 0;
	server_start(&conf.url, data[0] & 1, data + 1, n - 1);
	survey_take(&snapshot.redis, &ask);
	PROMISE(snapshot.redis.up == (snapshot.redis.error == NULL));
	snapshot_json(&document, &snapshot);
	item_json(&out, &document);
	PROMISE(memchr(out.p, '\n', out.len) == NULL);
	survey_free(&snapshot.redis);
	bytes_free(&out);
	server_join();
	return 0;
}
