#include "event/format.h"

#include <string.h>

#include "base/status.h"

#define LETTERS "itpTrcsekd%"
#define ESCAPES "ntr0\\"
#define UNESCAPED "\n\t\r\0\\"

int
format_validate(const char *format, struct err *err)
{
	for (const char *p = format; *p != '\0'; p++) {
		const char *legal = *p == '%' ? LETTERS : *p == '\\' ? ESCAPES : NULL;

		if (legal == NULL)
			continue;
		if (p[1] == '\0')
			return err_set(
			    err, STATUS_USAGE, "-f: the format ends with a single '%c'", *p);
		if (strchr(legal, p[1]) == NULL)
			return err_set(err, STATUS_USAGE,
			    "-f: unknown '%c%c' in the format; known are %%i %%t %%p %%T %%r %%c "
			    "%%s %%e %%k %%d %%%% and \\n \\t \\r \\0 \\\\",
			    *p, p[1]);
		p++;
	}
	return 0;
}

static void
add_conversion(struct bytes *out, char letter, const struct event_entry *r, const struct event *e)
{
	struct slice s = {0};

	switch (letter) {
	case 'i': s = r->id; break;
	case 't': s = e->type.p != NULL ? e->type : r->type; break;
	case 'p': event_add_payload(out, r->kv, r->nkv); break;
	case 'T': s = e->timestamp; break;
	case 'r': s = e->trace_id; break;
	case 'c': s = e->correlation_id; break;
	case 's': s = e->source; break;
	case 'e': s = e->event_id; break;
	case 'k': s = r->stream; break;
	case 'd':
		if (r->deliveries >= 0)
			bytes_addu(out, (uint64_t)r->deliveries);
		break;
	default: bytes_addc(out, letter);
	}
	bytes_add(out, s.p, s.n);
}

void
format_add(struct bytes *out, const char *format, const struct event_entry *r)
{
	struct event e;

	event_from_fields(&e, r->kv, r->nkv);
	for (const char *p = format; *p != '\0'; p++) {
		if (*p == '%')
			add_conversion(out, *++p, r, &e);
		else if (*p == '\\')
			bytes_addc(out, UNESCAPED[strchr(ESCAPES, *++p) - ESCAPES]);
		else
			bytes_addc(out, *p);
	}
}
