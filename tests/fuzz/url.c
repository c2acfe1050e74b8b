/* url: fuzzes the parser of the server's URL. The target of a URL contains no secret, and parses to
 * itself. */
#include "redis/url.h"

#include "fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *s = text_of(data, n), *place, *again;
	struct url u, v;
	struct err err = {.text = ""};

	if (url_parse(&u, s, &err) == 0) {
		PROMISE((u.host != NULL) != (u.path != NULL) && u.db >= 0);
		PROMISE(u.host == NULL || (u.port > 0 && u.port < 65536));
		place = url_target(&u);
		PROMISE(url_parse(&v, place, &err) == 0 && v.user == NULL && v.password == NULL);
		again = url_target(&v);
		PROMISE(strcmp(place, again) == 0);
		free(place);
		free(again);
		url_free(&v);
		url_free(&u);
	} else
		PROMISE((err.status == 64 || err.status == 78) && err.text[0] != '\0');
	free(s);
	return 0;
}
