/*
 * The buffer's protocol, to be held beside lib/: each step names the function it stands for.
 *
 * One event type. Two publishers (the first gives P1 events at once, the second P2 of them, once), REPLAYS replays that may die or
 * stop anywhere, one behind the other, and one that must get through. What was sent is executed at any time later, also when the sender is
 * gone, until it is fenced or the server restarts. A death between two steps that touch nothing shared is the same as one before both,
 * so such steps are one. What is not here: power cuts, refusals, several types and files (the other tests have them).
 *
 * Checked, where the server adds an entry and at the end: no accepted event is lost, none stands twice, and none stands
 * before one that had been accepted when it was given.
 *
 * tests/model/run checks this as it is, and with each of its sabotages defined.
 */
#ifndef P1
#define P1	2
#define P2	0
#endif
#ifndef REPLAYS
#define REPLAYS	2
#endif
#define CONNS	5	/* 0 and 1: publishers; 2 to 4: replays */
#define NOBODY	7
#define PING	9

/* --- the server -------------------------------------------------------------------------- */

byte stream[4];			/* by ID - 1: which event */
byte last;			/* last-generated-id */
bit run_id;
bool may_kill;			/* CLIENT KILL is permitted */
chan net[CONNS] = [2] of { byte };	/* requests under way: events to XADD, or PING */
chan rep[CONNS] = [2] of { byte };	/* replies: IDs, or PING */
bool up[CONNS], here[CONNS];	/* open at the server's end; at the client's */
bit conn_run[CONNS];
byte todo;			/* connections whose input this turn of the event loop still has to read */
bool calm;			/* no more restarts */

/* --- what the checker knows ----------------------------------------------------------------- */

byte id[4];			/* of events 1 to 3: two with the same are equal in every field */
byte given[4], there[4];	/* by id: events given, entries in the stream */
byte accepted;			/* bit n: event n is */
byte before[4];			/* what was accepted when the event was given */
byte added_at[4];		/* the ID that an event was answered with to its publisher */

#define AMONG(set, n, i)	(((set) >> (n)) & (id[n] == (i)))
#define COUNT(set, i)		(AMONG(set, 1, i) + AMONG(set, 2, i) + AMONG(set, 3, i))
#define ALL_THERE(set)		(there[1] >= COUNT(set, 1) && there[2] >= COUNT(set, 2) && there[3] >= COUNT(set, 3))

#define READY(c) (len(net[c]) > 0)

/* Reads one request: an XADD, or a PING. */
inline serve(c) {
	net[c]?e;
	if
	:: READY(c) -> skip
	:: else -> todo = todo & (255 - (1 << c))
	fi;
	if
	:: e == PING -> rep[c]!PING
	:: else ->
		assert(ALL_THERE(before[e]));		/* in order */
		assert(there[id[e]] < given[id[e]]);	/* once */
		there[id[e]]++;
		stream[last] = e;
		last++;
		if
		:: here[c] -> rep[c]!last
		:: else
		fi
	fi;
	e = 0
}

inline forget(w) {
	do
	:: READY(w) -> net[w]?_
	:: else -> break
	od;
	todo = todo & (255 - (1 << (w)));
	up[w] = false
}

/*
 * Where CLIENT KILL is permitted, what was sent may arrive at any time later. Where it is not, all hangs on this: one turn of the event
 * loop serves, in any order, those whose requests were there at its beginning. That makes two PINGs, one behind the other's answer, a
 * fence, and one PING none.
 */
#define SERVES(c) (READY(c) && (may_kill || (todo >> (c)) & 1))

active proctype server()
{
	byte e;

end:	do
	:: d_step { !may_kill && todo == 0 && (READY(0) || READY(1) || READY(2) || READY(3) || READY(4)) ->
		todo = READY(0) | (READY(1) << 1) | (READY(2) << 2) | (READY(3) << 3) | (READY(4) << 4) }
	:: d_step { SERVES(0) -> serve(0) }
	:: d_step { SERVES(1) -> serve(1) }
	:: d_step { SERVES(2) -> serve(2) }
	:: d_step { SERVES(3) -> serve(3) }
	:: d_step { SERVES(4) -> serve(4) }
	:: d_step { run_id == 0 && !calm ->	/* killed and started again; its append-only file is whole */
		run_id = 1;
		forget(0); forget(1); forget(2); forget(3); forget(4) }
	od
}

/* bus_dial, bus_greet: nothing is sent before the greeting is answered, so it may be one step. */
inline connect(c) {
	up[c] = true;
	here[c] = true;
	conn_run[c] = run_id
}

/* bus_put, bus_io: handed to the kernel whole; from here on it is in doubt. */
inline send(c, what) {
	if
	:: up[c] -> net[c]!what
	:: else
	fi
}

/*
 * bus_abort, or the end of the process. What was under way is executed later, or never: where nobody can kill
 * the connection it is decided now what still arrives.
 */
inline leave(c) {
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

byte lines;			/* appended so far; line n is line[n], from 0 */
byte line[4];			/* which event */
byte doubt_conn[4] = NOBODY;	/* struct doubt of a line: its connection */
byte doubt_after[4];		/* and from where to look */
byte unlinked;			/* lines below are gone with their segment */
bool replay_lock;
bool ran;			/* the first replay, for better or worse */

/* struct progress, as it stands on the disk. */
byte mark;			/* lines below are delivered */
bool intent;			/* lines from the mark to upto may have been sent on conn, and then stand above after */
byte intent_upto, intent_after, intent_conn = NOBODY;
byte spent;			/* bit n: ID n + 1 accounts for a line that had been in doubt */

/* --- a publisher --------------------------------------------------------------------------- */

/*
 * An event that is equal to one of another publisher in every field: nobody can tell their entries apart, so the one must be over
 * before the other's connection, or be given without one. Those that share an event_id alone are told apart: they are as good as
 * distinct here.
 */
#ifdef BY_ID
#define TWIN(n) true
#else
#define TWIN(n) (here[c] -> added_at[n] && greeted >= added_at[n] : (accepted >> (n)) & 1)
#endif

/* publish_begin_batch: the caller hands the events over. */
inline give() {
	if
	:: from == 1 ->
		id[1] = 1;
		given[1]++;
		before[1] = accepted;
		if
		:: end_of == 3 -> id[2] = 2
		:: end_of == 3 -> id[2] = 1	/* all the same twice, on purpose */
		:: end_of == 2
		fi;
		given[id[2]]++;
		before[2] = accepted
	:: else ->
		if
		:: id[from] = 3
		:: TWIN(1) && (id[2] != 1 || TWIN(2)) -> id[from] = 1
		fi;
		given[id[from]]++;
		before[from] = accepted
	fi
}

/* spill_append, append_lines: under the writers' lock, in one write; those in doubt with what is needed to settle them. */
inline append() {
	i = answered;
	do
	:: i < end_of ->
		line[lines] = i;
		if
		:: i < next ->		/* link.c: doubt */
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
	byte i, left, after, greeted;
	byte next = from, answered = from;	/* the first not yet sent, the first not yet answered */
	bool direct;

	/* link_up: connected, with the stream's last-generated-id as the bound (greet); or the server is not reached. */
	if
	:: atomic { connect(c);
		direct = true;
		greeted = last;
#ifndef EARLY_XADD
		after = last
#endif
	}
	:: true
	fi;
	/* goes_directly, spill_clear, backlog_lacks_type: is anything of the type undelivered? */
	atomic { give();
#ifndef OVERTAKE
		direct = direct && mark >= lines
#endif
	};
	/* link_send: all, or as many as the connection bears; or we are killed. */
	atomic {
		do
		:: direct && next < end_of -> send(c, next); next++
		:: direct && next > from -> break
		:: !direct -> break
		od };
	/* link_await, take_reply: each answer is the bound of what comes behind it. */
	do
	:: answered < next ->
		if
		:: atomic { rep[c]?after ->
			accepted = accepted | (1 << answered);
			added_at[answered] = after;
			answered++ }
		:: break	/* a deadline, or the connection dies: link_lost */
		fi
	:: else -> break
	od;
	if
	:: atomic { answered < end_of ->
#ifdef LATE_BOUND
		after = last;
#endif
		leave(c);
		append()
	   };
	   if
	   :: d_step { true ->	/* settle, emit: "buffered" */
		do
		:: answered < end_of -> accepted = accepted | (1 << answered); answered++
		:: else -> break
		od }
	   :: true		/* killed before anybody was told */
	   fi
	:: atomic { true -> leave(c) }	/* done, or killed */
	fi
}

/* --- a replay --------------------------------------------------------------------------------- */

#define MAY_DIE	if :: true :: !final -> goto dead fi	/* the last one must get through */

/* Without a greeting there is no client id to kill. */
#ifdef EARLY_XADD
#define NAMED(w) (w >= 2)
#else
#define NAMED(w) true
#endif

/* stream_fence: nothing that was sent on connection w will be executed any more. */
inline fence(w) {
#ifdef NO_FENCE
	skip
#else
	if
	:: conn_run[w] != run_id
	:: conn_run[w] == run_id && may_kill && NAMED(w) -> atomic { MAY_DIE; forget(w) }
	:: conn_run[w] == run_id && !(may_kill && NAMED(w)) ->
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

/* load.c: look_for_doubt, for the line at n, the kth of the batch. */
inline look_for_doubt(n, k) {
	bound[k] = 255;
	doubtful[k] = (old && n < old_upto) || doubt_conn[n] != NOBODY;
	if
	:: old && n < old_upto -> bound[k] = old_after
	:: else
	fi;
	if
	:: doubt_conn[n] != NOBODY -> bound[k] = LOWER(bound[k], doubt_after[n])
	:: else
	fi;
#ifdef NO_BOUND
	bound[k] = 0
#endif
}

/* is_spent: what this run added itself, or what accounts for a line before, settles nothing. */
#ifdef FIRST_ADDED
#define MINE(i) (mine && (mine & ((1 << (i + 1)) - 1)))
#else
#define MINE(i) ((mine >> (i)) & 1)
#endif
#ifdef NO_SPENT
#define SPENT(i) MINE(i)
#else
#define SPENT(i) (MINE(i) || (spent_now >> (i)) & 1)
#endif
#define SETTLES(k)	(k < n && doubtful[k] && !place[k] && i + 1 > bound[k] && id[stream[i]] == id[line[at + k]])

/* settle, search, see: every entry above the bound accounts for one line, the first that bears its id. */
inline scan() {
	i = 0;
	do
	:: i < last ->
		if
		:: SPENT(i)
		:: !SPENT(i) && SETTLES(0) ->
			place[0] = i + 1
#ifdef NO_COUNT
			;
			if
			:: SETTLES(1) -> place[1] = i + 1
			:: else
			fi
#endif
		:: !SPENT(i) && !SETTLES(0) && SETTLES(1) -> place[1] = i + 1
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
}

/* ship_record, intend_batch, progress_store: the marks of all before and the intent of what comes, in one fdatasync. */
inline record(sending, more) {
	mark = at;
	spent = spent_now;
	intent = sending || old;
	intent_conn = (intent -> c : NOBODY);
	intent_upto = (intent -> at + n + more : 0);
	intent_after = (intent -> lane_after : 0);
#ifdef FORGET_OLD
	intent = sending;
#else
	if
	:: old ->	/* keep_old */
		intent_upto = HIGHER(intent_upto, old_upto);
#ifndef NEW_BOUND
		intent_after = old_after
#endif
	:: else
	fi;
#endif
#ifdef EARLY_MARKS
	mark = at + n
#endif
#ifdef MARKS_AHEAD
	mark = (more -> at + n : mark)
#endif
}

/* ship_recorded: what was recorded while the last batch was under way names all of this one. */
#ifdef NO_REACH
#define RECORDED (intent && intent_conn == c && !old)
#else
#define RECORDED (intent && intent_conn == c && !old && at + n <= intent_upto)
#endif
/* record_more, intend_more: the line behind the batch, and the one behind that. */
#define WAITS(m) (!old && at + n + m < end_at && doubt_conn[at + n + m] == NOBODY)

/* step, behind the answers: move_marks, ship_spend, move_forget_old, intent_clear. */
inline move() {
	i = 0;
	do
	:: i < n ->
		if
		:: doubtful[i] ->
#ifdef ALL_SPENT
			spent_now = spent_now | ((1 << place[i]) - 1)
#else
			spent_now = spent_now | (1 << (place[i] - 1))
#endif
		:: else
		fi;
		place[i] = 0;
		doubtful[i] = false;
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

/* take_line: a batch does not reach over the end of the old intent; what comes behind gets a bound of its own. */
#ifdef MERGED
#define MAY_JOIN true
#else
#define MAY_JOIN (!old || at + 1 != old_upto)
#endif

proctype replay(byte c; bool final)
{
	byte i, n, k, left;
	byte at, end_at;	/* of the walk: here, and what there was when it was opened */
	bool old;		/* struct run: the intent of a run that was cut off */
	byte old_upto, old_after;
	byte spent_now;
	byte lane_after = NOBODY;
	bool doubtful[2], settled[2];
	byte bound[2], place[2];	/* place: the ID that accounts for the line */
	byte mine;		/* the IDs this run was given */

	/* spool_replay_lock (the kernel gives it back when we die); drain.c: begin, progress_load */
	atomic {
#ifndef NO_REPLAY_LOCK
		!replay_lock -> replay_lock = true;
#endif
		connect(c);
again:		at = mark;
		old = intent;
		old_upto = intent_upto;
		old_after = intent_after;
		k = intent_conn;
		spent_now = spent;
		assert(unlinked <= mark)	/* else roster_missing: undelivered events have vanished */
	};
	if
	:: old -> fence(k)
	:: !old
	fi;
	atomic { MAY_DIE; end_at = lines; k = 0;	/* walk_open, lanes_stale */
#ifndef OLD_LANE
		lane_after = NOBODY
#endif
	};
	do
	:: at < end_at ->
		/* load_batch: as many lines as the limits allow; lane_ready, measure: the bound of what will be sent. */
		atomic {
			if
			:: n = 1
			:: at + 1 < end_at && MAY_JOIN -> n = 2
			fi;
			look_for_doubt(at, 0);
			if
			:: n == 2 -> look_for_doubt(at + 1, 1)
			:: else
			fi;
			if
			:: lane_after == NOBODY -> lane_after = last
			:: else
			fi
		};
		/* ship_settle, and the record before the first byte is sent. */
#ifdef SCAN_FIRST
		d_step { scan() };
#endif
		if
		:: doubt_conn[at] != NOBODY -> fence(doubt_conn[at])
		:: else
		fi;
		if
		:: n == 2 && doubt_conn[at + 1] != NOBODY && doubt_conn[at + 1] != doubt_conn[at] -> fence(doubt_conn[at + 1])
		:: else
		fi;
		d_step {
#if !defined(SCAN_FIRST) && !defined(NO_SCAN)
			scan();
#endif
			settled[0] = place[0] > 0;
			settled[1] = n == 1 || place[1] > 0;
#ifndef NO_INTENT
			if
			:: (!settled[0] || !settled[1]) && !RECORDED -> record(true, 0)
			:: else
			fi
#endif
		};
		/* ship_send, send_one: all, or as many as the connection bears. */
		atomic {
			do
			:: k < n ->
				MAY_DIE;
				if
				:: !settled[k] -> send(c, line[at + k])
				:: else
				fi;
				k++
			:: else -> break
			od;
			k = 0 };
		/* go_ahead, while the server is busy */
#ifndef NO_INTENT
		atomic {
			if
			:: WAITS(0) -> MAY_DIE; record(true, 1)
			:: WAITS(0) && WAITS(1) -> MAY_DIE; record(true, 2)
			:: true
			fi };
#endif
		/* take_answer */
		do
		:: k < n && !settled[k] ->
			if
			:: atomic { rep[c]?place[k] ->
				lane_after = place[k];
				mine = mine | (1 << (place[k] - 1));
				k++ }
			:: !up[c] -> goto dead
			:: !final -> goto dead
			fi
		:: k < n && settled[k] -> k++
		:: else -> break
		od;
		atomic {
			k = 0;
			settled[0] = false;
			settled[1] = false;
			move();
			if
			:: true
			:: !final -> break	/* run_over: the limit, the budget, a signal */
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
	atomic { MAY_DIE; record(false, 0) };
	/* sweep, take_last: a segment that was delivered whole, under the writers' lock. */
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
	:: atomic { at < lines -> goto again }	/* rounds */
	:: !final || at >= lines
	fi;
	atomic {
		if
		:: unlinked == lines && !intent -> spent = 0	/* judge */
		:: else
		fi };
dead:	atomic { leave(c); replay_lock = false; ran = true }
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
	atomic { _nr_pr == 2 -> assert(ALL_THERE(accepted)) }	/* none is lost */
}
