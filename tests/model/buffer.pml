/*
 * buffer: a Promela model of the buffer's protocol in lib/publish, lib/buffer and lib/drain. Each step names the
 * functions that it models.
 *
 * The model has one event type, two publishers (the first passes P1 events at once, the second P2), REPLAYS replays that run
 * one after the other and may die or stop anywhere, and a last replay that must finish. The server may execute a sent request
 * at any later time, even after the sender's death, until the connection is fenced or the server restarts. A death between two
 * steps that touch nothing shared equals a death before both, so such steps are one atomic step. Power cuts, refusals, and
 * several types and files are not modelled; other tests cover them.
 *
 * Checked when the server adds an entry and at the end: no accepted event is lost, none is added twice, and none is added
 * before an event that was accepted earlier.
 *
 * tests/model/run checks the model unchanged, and with each of its sabotages defined.
 */
#ifndef P1
#define P1	2
#define P2	0
#endif
#ifndef REPLAYS
#define REPLAYS	2
#endif
#define CONNS	5	/* 0 and 1: publishers; 2 to 4: replays */
#define NONE	7
#define PING	9

/* --- the server -------------------------------------------------------------------------- */

byte stream[4];			/* the event of the entry with this ID - 1 */
byte last;			/* last-generated-id */
bit run_id;
bool may_kill;			/* CLIENT KILL is permitted */
chan net[CONNS] = [2] of { byte };	/* requests under way: events to XADD, or PING */
chan rep[CONNS] = [2] of { byte };	/* replies: IDs, or PING */
bool up[CONNS], here[CONNS];	/* open at the server's side; at the client's side */
bit conn_run[CONNS];
byte todo;			/* bit set: connections whose input this turn of the event loop has yet to read */
bool calm;			/* no more restarts */

/* --- state of the checker ------------------------------------------------------------------- */

byte id[4];			/* of events 1 to 3: events with the same id are equal in every field */
byte given[4], in_stream[4];	/* by id: events passed to publishers, entries in the stream */
byte accepted;			/* bit n: event n is accepted */
byte before[4];			/* the value of accepted when the event was passed to its publisher */
byte added_at[4];		/* the entry ID that the publisher got for the event */
/*
 * Two events of one publisher that are equal in every field, the second looked up after a run found or added the first: both
 * count as the first's entry (BUGS in ebfaults(7)). taken: the line + 1 that each entry was found or added for. Bit n of twins:
 * line n was found at the entry of another line, so it has none of its own.
 */
byte taken[4];
byte twins;
byte line[4];			/* the event of the line */

#define AMONG(set, n, i)	(((set) >> (n)) & (id[n] == (i)))
#define COUNT_OF(set, i)		(AMONG(set, 1, i) + AMONG(set, 2, i) + AMONG(set, 3, i))
#define IS_TWIN(n, i)		(((twins) >> (n)) & (id[line[n]] == (i)))
#define TWINS_OF(i)		(IS_TWIN(0, i) + IS_TWIN(1, i) + IS_TWIN(2, i))
#define IN_STREAM(set, i)	(in_stream[i] + TWINS_OF(i) >= COUNT_OF(set, i))
#define ALL_IN_STREAM(set)	(IN_STREAM(set, 1) && IN_STREAM(set, 2) && IN_STREAM(set, 3))

#define READY(c) (len(net[c]) > 0)

/* Executes one request: an XADD, or a PING. */
inline execute_one(c) {
	net[c]?e;
	if
	:: READY(c) -> skip
	:: else -> todo = todo & (255 - (1 << c))
	fi;
	if
	:: e == PING -> rep[c]!PING
	:: else ->
		assert(ALL_IN_STREAM(before[e]));		/* in order */
		assert(in_stream[id[e]] < given[id[e]]);	/* once */
		in_stream[id[e]]++;
		stream[last] = e;
		last++;
		if
		:: here[c] -> rep[c]!last
		:: else
		fi
	fi;
	e = 0
}

inline drop_conn(w) {
	do
	:: READY(w) -> net[w]?_
	:: else -> break
	od;
	todo = todo & (255 - (1 << (w)));
	up[w] = false
}

/*
 * With CLIENT KILL permitted, a sent request may arrive at any later time. Without it the fence relies on the server's event
 * loop: one turn executes, in any order, the requests that had arrived when it began. So two PINGs, the second sent after the
 * first one's reply, are a fence, and one PING is not.
 */
#define CAN_EXECUTE(c) (READY(c) && (may_kill || (todo >> (c)) & 1))

active proctype server()
{
	byte e;

end:	do
	:: d_step { !may_kill && todo == 0 && (READY(0) || READY(1) || READY(2) || READY(3) || READY(4)) ->
		todo = READY(0) | (READY(1) << 1) | (READY(2) << 2) | (READY(3) << 3) | (READY(4) << 4) }
	:: d_step { CAN_EXECUTE(0) -> execute_one(0) }
	:: d_step { CAN_EXECUTE(1) -> execute_one(1) }
	:: d_step { CAN_EXECUTE(2) -> execute_one(2) }
	:: d_step { CAN_EXECUTE(3) -> execute_one(3) }
	:: d_step { CAN_EXECUTE(4) -> execute_one(4) }
	:: d_step { run_id == 0 && !calm ->	/* killed and started again; its append-only file is whole */
		run_id = 1;
		drop_conn(0); drop_conn(1); drop_conn(2); drop_conn(3); drop_conn(4) }
	od
}

/* conn_connect, conn_handshake: no event is sent before the handshake is answered, so this is one step. */
inline connect(c) {
	up[c] = true;
	here[c] = true;
	conn_run[c] = run_id
}

/* conn_put, conn_io: the kernel has the whole request; from here on it is in doubt. */
inline send(c, what) {
	if
	:: up[c] -> net[c]!what
	:: else
	fi
}

/*
 * conn_abort, or the end of the process. Requests under way are executed later, or never. Where the connection cannot be
 * killed, this step decides which of them still arrive.
 */
inline close_conn(c) {
	here[c] = false;
	do
	:: len(rep[c]) > 0 -> rep[c]?_
	:: else -> break
	od;
	if
	:: true
	:: !may_kill && len(net[c]) == 2 && !(todo & (1 << c)) -> net[c]?left; net[c]?_; net[c]!left; left = 0
	:: !may_kill && READY(c) && !(todo & (1 << c)) -> do :: READY(c) -> net[c]?_ :: else -> break od
	fi
}

/* --- the buffer ------------------------------------------------------------------------------ */

byte lines;			/* number of appended lines; line n is line[n], from 0 */
byte doubt_conn[4] = NONE;	/* doubt of a line: its connection */
byte doubt_after[4];		/* and the bound: the search begins after this ID */
byte unlinked;			/* lines below this number were removed with their segment */
bool replay_lock;
bool ran;			/* the first replay has ended or died */

/* struct checkpoint, as stored on disk. */
byte position;			/* lines below this number are delivered */
bool intent;			/* lines from position to upto may have been sent on conn; their entries have IDs above after */
byte intent_upto, intent_after, intent_conn = NONE;

/* --- a publisher --------------------------------------------------------------------------- */

/*
 * Whether an event may be equal in every field to event n of the other publisher. Their entries cannot be told apart, so event n
 * must be answered before this publisher connects, or be accepted when this one has no connection. Events that share only their
 * event_id can be told apart and count as distinct here.
 */
#ifdef BY_ID
#define MAY_BE_EQUAL(n) true
#else
#define MAY_BE_EQUAL(n) (here[c] -> added_at[n] && connected_at >= added_at[n] : (accepted >> (n)) & 1)
#endif

/* publish_begin_batch: the caller passes the events. */
inline begin_batch() {
	if
	:: from == 1 ->
		id[1] = 1;
		given[1]++;
		before[1] = accepted;
		if
		:: end_of == 3 -> id[2] = 2
		:: end_of == 3 -> id[2] = 1	/* the same event twice, on purpose */
		:: end_of == 2
		fi;
		given[id[2]]++;
		before[2] = accepted
	:: else ->
		if
		:: id[from] = 3
		:: MAY_BE_EQUAL(1) && (id[2] != 1 || MAY_BE_EQUAL(2)) -> id[from] = 1
		fi;
		given[id[from]]++;
		before[from] = accepted
	fi
}

/* fallback_append, append_lines: one write under the writers' lock; a line in doubt records its connection and bound. */
inline append_lines() {
	i = answered;
	do
	:: i < end_of ->
		line[lines] = i;
		if
		:: i < next ->		/* connect.c: mark_in_doubt */
#ifndef NO_DOUBT
			doubt_conn[lines] = c;
#endif
			doubt_after[lines] = after
		:: else
		fi;
		lines++;
		i++
	:: else -> break
	od;
	i = 0
}

proctype publisher(byte from, end_of, c)
{
	byte i, left, after, connected_at;
	byte next = from, answered = from;	/* the first not yet sent, the first not yet answered */
	bool direct;

	/* connect_ensure: connected, with the stream's last-generated-id as the bound; or the server is unreachable. */
	if
	:: atomic { connect(c);
		direct = true;
		connected_at = last;
#ifndef EARLY_XADD
		after = last
#endif
	}
	:: true
	fi;
	/* may_send_directly, fallback_lacks_type, backlog_lacks_type: does the buffer hold an undelivered line of the type? */
	atomic { begin_batch();
#ifndef OVERTAKE
		direct = direct && position >= lines
#endif
	};
	/* connect_send_event: sends all events, or as many as the connection takes; or the publisher is killed. */
	atomic {
		do
		:: direct && next < end_of -> send(c, next); next++
		:: direct && next > from -> break
		:: !direct -> break
		od };
	/* connect_await_replies, take_add_reply: each reply is the bound of the events after it. */
	do
	:: answered < next ->
		if
		:: atomic { rep[c]?after ->
			accepted = accepted | (1 << answered);
			added_at[answered] = after;
			answered++ }
		:: break	/* a time-out, or the connection is lost: connect_drop */
		fi
	:: else -> break
	od;
	if
	:: atomic { answered < end_of ->
#ifdef LATE_BOUND
		after = last;
#endif
		close_conn(c);
		append_lines()
	   };
	   if
	   :: d_step { true ->	/* settle_inflight, answer_event: "buffered" */
		do
		:: answered < end_of -> accepted = accepted | (1 << answered); answered++
		:: else -> break
		od }
	   :: true		/* killed before it answered */
	   fi
	:: atomic { true -> close_conn(c) }	/* done, or killed */
	fi
}

/* --- a replay --------------------------------------------------------------------------------- */

#define MAY_DIE	if :: true :: !final -> goto dead fi	/* the last replay must finish */

/* Without a handshake no client id is known, so the connection cannot be killed. */
#ifdef EARLY_XADD
#define HAS_CLIENT_ID(w) (w >= 2)
#else
#define HAS_CLIENT_ID(w) true
#endif

/* fence_conn: no request that was sent on connection w is executed after it. */
inline fence(w) {
#ifdef NO_FENCE
	skip
#else
	if
	:: conn_run[w] != run_id
	:: conn_run[w] == run_id && may_kill && HAS_CLIENT_ID(w) -> atomic { MAY_DIE; drop_conn(w) }
	:: conn_run[w] == run_id && !(may_kill && HAS_CLIENT_ID(w)) ->
		atomic { MAY_DIE; send(c, PING) };
		if
		:: rep[c]?PING
		:: !up[c] -> goto dead
		fi;
#ifndef ONE_PING
		atomic { MAY_DIE; send(c, PING) };
		if
		:: rep[c]?PING
		:: !up[c] -> goto dead
		fi
#endif
	fi
#endif
}

#define LOWER(a, b)	((a) < (b) -> (a) : (b))
#define HIGHER(a, b)	((a) > (b) -> (a) : (b))

/* delivery_is_in_doubt, for line n, the kth of the batch. */
inline determine_doubt(n, k) {
	bound[k] = 255;
	in_doubt[k] = (old && n < old_upto) || doubt_conn[n] != NONE;
	if
	:: old && n < old_upto -> bound[k] = old_after
	:: else
	fi;
	if
	:: doubt_conn[n] != NONE -> bound[k] = LOWER(bound[k], doubt_after[n])
	:: else
	fi;
#ifdef NO_BOUND
	bound[k] = 0
#endif
}

#define MATCHES(k)	(k < n && in_doubt[k] && !match[k] && i + 1 > bound[k] && id[stream[i]] == id[line[at + k]])

inline note_twin(k) {
	if
	:: k < n && match[k] && taken[match[k] - 1] && taken[match[k] - 1] != at + k + 1 -> twins = twins | (1 << (at + k))
	:: else
	fi
}

inline take(k) {
	if
	:: k < n && match[k] && !taken[match[k] - 1] -> taken[match[k] - 1] = at + k + 1
	:: else
	fi
}

/* indoubt_resolve, search_stream, match_entry: an entry above the bound matches one line, the first with its id. */
inline search() {
	i = 0;
	do
	:: i < last ->
		if
		:: MATCHES(0) ->
			match[0] = i + 1
#ifdef NO_COUNT
			;
			if
			:: MATCHES(1) -> match[1] = i + 1
			:: else
			fi
#endif
		:: !MATCHES(0) && MATCHES(1) -> match[1] = i + 1
		:: else
		fi;
		i++
	:: else -> break
	od;
	note_twin(0);
	note_twin(1);
	take(0);
	take(1);
	i = 0
}

/* intent_store, build_intent, checkpoint_store: the position so far and the intent of the next lines, in one fdatasync. */
inline store_checkpoint(sending, more) {
	position = at;
	intent = sending || old;
	intent_conn = (intent -> c : NONE);
	intent_upto = (intent -> at + n + more : 0);
	intent_after = (intent -> dest_after : 0);
#ifdef FORGET_OLD
	intent = sending;
#else
	if
	:: old ->	/* merge_old_intent */
		intent_upto = HIGHER(intent_upto, old_upto);
#ifndef NEW_BOUND
		intent_after = old_after
#endif
	:: else
	fi;
#endif
#ifdef EARLY_POSITION
	position = at + n
#endif
#ifdef POSITION_AHEAD
	position = (more -> at + n : position)
#endif
}

/* is_line_covered: the intent that was stored while the last batch was in flight covers this one. */
#ifdef NO_COVER
#define RECORDED (intent && intent_conn == c && !old)
#else
#define RECORDED (intent && intent_conn == c && !old && at + n <= intent_upto)
#endif
/* intent_store_ahead, extend_intent: the line after the batch, and the one after that. */
#define HAS_NEXT(m) (!old && at + n + m < end_at && doubt_conn[at + n + m] == NONE)

/* drain_batch, after the replies: delivery_commit, drop_resolved_types, intent_clear. */
inline commit() {
	i = 0;
	do
	:: i < n ->
		match[i] = 0;
		in_doubt[i] = false;
		bound[i] = 0;
		at++;
		i++
	:: else -> break
	od;
	i = 0;
	n = 0;
	if
	:: old && at >= old_upto -> old = false; old_upto = 0; old_after = 0
	:: else
	fi
}

/* consider_line: a batch does not reach over the end of the old intent; later lines get a bound of their own. */
#ifdef MERGED
#define MAY_JOIN true
#else
#define MAY_JOIN (!old || at + 1 != old_upto)
#endif

proctype replay(byte c; bool final)
{
	byte i, n, k, left;
	byte at, end_at;	/* the walk's current line, and the number of lines when it was opened */
	bool old;		/* old_intent of struct delivery: the intent of a run that was cut off */
	byte old_upto, old_after;
	byte dest_after = NONE;
	bool in_doubt[2], resolved[2];
	byte bound[2], match[2];	/* match: the ID of the entry that matches the line */

	/* buffer_replay_lock (the kernel releases it when the process dies); delivery_open, checkpoint_load */
	atomic {
#ifndef NO_REPLAY_LOCK
		!replay_lock -> replay_lock = true;
#endif
		connect(c);
again:		at = position;
		old = intent;
		old_upto = intent_upto;
		old_after = intent_after;
		k = intent_conn;
		assert(unlinked <= position)	/* else manifest_list_vanished: undelivered events have vanished */
	};
	if
	:: old -> fence(k)
	:: !old
	fi;
	atomic { MAY_DIE; end_at = lines; k = 0;	/* walk_open, dests_mark_stale */
#ifndef STALE_BOUND
		dest_after = NONE
#endif
	};
	do
	:: at < end_at ->
		/* batch_load: as many lines as the limits allow; measure_dest_room: the bound of the lines to send. */
		atomic {
			if
			:: n = 1
			:: at + 1 < end_at && MAY_JOIN -> n = 2
			fi;
			determine_doubt(at, 0);
			if
			:: n == 2 -> determine_doubt(at + 1, 1)
			:: else
			fi;
			if
			:: dest_after == NONE -> dest_after = last
			:: else
			fi
		};
		/* send_resolve, and the checkpoint before the first byte is sent. */
#ifdef SCAN_FIRST
		d_step { search() };
#endif
		if
		:: doubt_conn[at] != NONE -> fence(doubt_conn[at])
		:: else
		fi;
		if
		:: n == 2 && doubt_conn[at + 1] != NONE && doubt_conn[at + 1] != doubt_conn[at] -> fence(doubt_conn[at + 1])
		:: else
		fi;
		d_step {
#if !defined(SCAN_FIRST) && !defined(NO_SCAN)
			search();
#endif
			resolved[0] = match[0] > 0;
			resolved[1] = n == 1 || match[1] > 0;
#ifndef NO_INTENT
			if
			:: (!resolved[0] || !resolved[1]) && !RECORDED -> store_checkpoint(true, 0)
			:: else
			fi
#endif
		};
		/* send_queue: sends all lines, or as many as the connection takes. */
		atomic {
			do
			:: k < n ->
				MAY_DIE;
				if
				:: !resolved[k] -> send(c, line[at + k])
				:: else
				fi;
				k++
			:: else -> break
			od;
			k = 0 };
		/* prepare_next_batch, while the server is busy */
#ifndef NO_INTENT
		atomic {
			if
			:: HAS_NEXT(0) -> MAY_DIE; store_checkpoint(true, 1)
			:: HAS_NEXT(0) && HAS_NEXT(1) -> MAY_DIE; store_checkpoint(true, 2)
			:: true
			fi };
#endif
		/* send_await_replies, take_add_reply */
		do
		:: k < n && !resolved[k] ->
			if
			:: atomic { rep[c]?match[k] ->
				dest_after = match[k];
				take(k);
				k++ }
			:: !up[c] -> goto dead
			:: !final -> goto dead
			fi
		:: k < n && resolved[k] -> k++
		:: else -> break
		od;
		atomic {
			k = 0;
			resolved[0] = false;
			resolved[1] = false;
			commit();
			if
			:: true
			:: !final -> break	/* run_must_end: the limit, the time budget, a signal */
			fi }
	:: else -> break
	od;
#ifdef EARLY_UNLINK
	atomic {
		if
		:: at >= lines -> unlinked = at
		:: else
		fi };
#endif
	atomic { MAY_DIE; store_checkpoint(false, 0) };
	/* reclaim_run, take_last: removes a segment that was delivered whole, under the writers' lock. */
#ifdef UNLOCKED_UNLINK
	k = at >= lines;
	atomic {
		if
		:: k -> unlinked = lines; k = 0
		:: else
		fi };
#else
	atomic { MAY_DIE;
		if
		:: at >= lines -> unlinked = lines
		:: else
		fi };
#endif
	if
	:: atomic { at < lines -> goto again }	/* drain_until_empty */
	:: !final || at >= lines
	fi;
dead:	atomic { close_conn(c); replay_lock = false; ran = true }
}

init {
	atomic {
#ifdef CALM
		calm = true;
		may_kill = true;
#else
		if
		:: may_kill = true
		:: may_kill = false
		fi;
#endif
		run publisher(1, P1 + 1, 0);
#if P2
		run publisher(3, 4, 1);
#endif
		run replay(2, false);
#ifdef NO_REPLAY_LOCK
		run replay(3, false)
#endif
	};
#if REPLAYS > 1 && !defined(NO_REPLAY_LOCK)
	atomic { ran -> run replay(3, false) };
#endif
	atomic { _nr_pr == 2 -> calm = true; run replay(4, true) };
	atomic { _nr_pr == 2 -> assert(ALL_IN_STREAM(accepted)) }	/* none is lost */
}
