/* How machines are taken, adopted, claimed and given back: two clients, one journal, one provider, one node of one run.

   The steps of a row are not written here: stages.pml is made from the engine's own table STAGES by the test.
   A client may die before each of its steps and stand still between any two; time is what happens meanwhile. Each word
   BUG_... puts one deliberate bug in, which the search must find. ROLLBACK lets the journal go back in time once.
   PAUSED_SEND lets a client stand still between its last look at its claim and the create call itself.
   KEYS gives the provider a memory: while it keeps a token as a key, the same call makes nothing that is there already.
   LIES lets every node fall silent for good while its machine is there; then somebody stops the run. */

#include "stages.pml"

#ifndef TOKENS
#define TOKENS 2
#endif
#define MACHINES 2
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef LAPSES
#define LAPSES 2
#endif
#define NOBODY 255
#define TOO_LATE 254

/* A machine: not there, asked for and still to come, billed and not listed yet, listed, going, gone. */
#define FREE 0
#define FLYING 1
#define HIDDEN 2
#define SHOWN 3
#define LEAVING 4
#define GONE 5
#define BILLED(m) (life[m] >= HIDDEN && life[m] <= LEAVING)

/* What runs on it. */
#define NOTHING 0
#define GOING 1
#define ENDED 2
#define CUT_OFF 3

/* The answer to a create call. */
#define REFUSED 0
#define LOST_ANSWER 1
#define MADE 2

/* The journal: a row for each token, the machine in it (its number + 1), the claim, and how the run stands. */
byte stage[TOKENS], machine[TOKENS];
/* A row that its run waits for no more, because its machine may only come late. */
bool late[TOKENS];
byte holder;
bool lapsed, succeeded, ended;
/* It is older than what was seen of it, so that nothing may be written until it is adopted. */
bool older, rolled;
#ifdef ROLLBACK
bool saved;
byte old_stage[TOKENS], old_machine[TOKENS];
bool old_late[TOKENS];
byte old_holder;
bool old_succeeded, old_ended;
#endif

/* No node says anything of use any more; somebody wants the run to end. */
#ifdef LIES
bool mute, stop;
#else
#define mute false
#define stop false
#endif

/* The world. `next` is the next token: a new one is never an old one, whatever the journal has lost. */
byte life[MACHINES], token[MACHINES], job[MACHINES];
bool taken[MACHINES];
/* Written down as one that doubles another: it is never the machine of its token. */
bool doubled[MACHINES];
byte creates[TOKENS], born, next;
/* How often a call made something new for a token; and whether its key is kept: the client stops before the provider forgets. */
byte made[TOKENS];
bool fresh[TOKENS];
/* By client: the token (+ 1) whose create call is about to leave. */
byte sending[3];
byte crashes = CRASHES, lapses = LAPSES;
byte killed;

#define OPEN(t) (stage[t] != NONE && stage[t] != RELEASED)
#define AWAITED(t) (OPEN(t) && !late[t])
/* A row whose machine is to be used, and the machine in it. */
#define USED(t) (stage[t] == OWNED || stage[t] == REACHABLE || stage[t] == RUNNING)
#define IN_USE(m) (stage[token[m]] != NONE && machine[token[m]] == m + 1 && USED(token[m]))
#define ALIVE(m) (BILLED(m) && !taken[m])
#define WORKS(m) (job[m] == GOING && BILLED(m))
/* The machine of a row that the journal has lost. It is shown, and only a person may give it back. */
#define STRAY(m) (life[m] != FREE && life[m] != GONE && stage[token[m]] == NONE)
#define LISTED(m) (life[m] == SHOWN || life[m] == LEAVING)
#define OF(m, t) (token[m] == t && life[m] != FREE)
#define STILL_COMING(m, t) (token[m] == t && (life[m] == FLYING || life[m] == HIDDEN))
/* Whatever a call has made would be listed by now, and no call leaves any more: a claim is shorter than any such wait. */
#define LEFT(t) (sending[holder] != t + 1 || lapsed)
#define PASSED(t) (LEFT(t) && !STILL_COMING(0, t) && !STILL_COMING(1, t))

/* Write one step of a row; `ok` says whether it was legal and may be written at all. */
inline step(t, to) {
	d_step {
		ok = !older && (late[t] || !ended) && LEGAL(stage[t], to);
		if
		:: ok ->
			assert(stage[t] != RELEASING || to == RELEASED);
			stage[t] = to;
			if
			:: to == RELEASED ->
				assert(machine[t] == 0 || life[machine[t] - 1] == GONE || rolled);
				if
				:: !late[t] && (succeeded || stop || next == TOKENS) -> ended = true
				:: else
				fi
			:: to == FINISHED -> succeeded = true
			:: to == UNRESOLVED -> late[t] = true
			:: else
			fi
		:: else
		fi
	}
}

inline adopt(t, m) {
	atomic {
		if
		:: doubled[m] -> ok = false
		:: else ->
			step(t, OWNED);
			if
			:: ok -> machine[t] = m + 1
			:: else
			fi
		fi
	}
}

/* One release call. The provider may accept it and forget it. */
inline give_back(m) {
	atomic {
		if
		:: life[m] == HIDDEN || life[m] == SHOWN -> life[m] = LEAVING
		:: true
		fi
	}
}

inline make(state, t) {
	life[born] = state;
	token[born] = t;
	born++
}

/* The start is exclusive on the node: a second one attaches to the first. */
inline begin(m) {
	atomic {
		if
		:: ALIVE(m) && job[m] == NOTHING ->
			job[m] = GOING;
			assert(WORKS(0) + WORKS(1) <= 1)
		:: else
		fi
	}
}

inline take_another() {
	atomic {
		if
		:: older || ended -> ok = false
		:: else ->
			ok = !(AWAITED(0) || AWAITED(1) || AWAITED(TOKENS - 1));
			if
			:: ok && (stop || next == TOKENS) -> ended = true; ok = false
			:: ok && !stop && next < TOKENS -> t = next; next++; sending[me] = t + 1; step(t, INTENDED)
			:: else
			fi
		fi
	}
}

inline look_at_claim() {
#ifndef BUG_EPOCH_UNCHECKED
	ok = holder == me && !lapsed && stage[t] == INTENDED && !older
#else
	skip
#endif
}

inline send(t) {
	atomic {
#ifndef PAUSED_SEND
		look_at_claim();
		assert(!ok || stage[t] == INTENDED);
#endif
		if
		:: ok ->
			sending[me] = 0;
			creates[t]++;
			assert(creates[t] <= 1);
#ifdef KEYS
			fresh[t] = true;
#endif
			if
			:: answer = REFUSED
			:: answer = LOST_ANSWER
			:: born < MACHINES -> made[t]++; m = born; make(HIDDEN, t); answer = MADE
			:: born < MACHINES -> made[t]++; make(HIDDEN, t); answer = LOST_ANSWER
			:: born < MACHINES -> made[t]++; make(FLYING, t); answer = LOST_ANSWER
#ifndef ROLLBACK
			/* Two machines for one call, of which a journal that went back no longer knows which one works: not promised. */
			:: born + 1 < MACHINES -> made[t]++; m = born; make(HIDDEN, t); make(HIDDEN, t); answer = MADE
#endif
			fi
		:: else
		fi
	}
}

inline create() {
#ifdef PAUSED_SEND
	look_at_claim();
#endif
	send(t);
#ifdef BUG_CREATE_RETRIED_BLINDLY
	if
	:: ok && answer == LOST_ANSWER -> send(t)
	:: else
	fi;
#endif
	atomic {
		if
		:: !ok -> answer = REFUSED
		:: ok && answer == REFUSED -> step(t, RELEASED)
		:: ok && answer == LOST_ANSWER -> step(t, UNKNOWN)
		:: ok && answer == MADE -> adopt(t, m)
		fi
	}
	atomic {
		if
#ifdef BUG_OWN_MACHINE_TAKEN_FOR_A_DUPLICATE
		:: !ok && answer == MADE ->
#else
		:: !ok && answer == MADE && !IN_USE(m) ->
#endif
			assert(!IN_USE(m));
			if
			:: stage[t] == UNRESOLVED -> step(t, RELEASING); if :: ok -> machine[t] = m + 1 :: else fi
			:: else
			fi;
			give_back(m)
		:: else
		fi
	}
}

#ifdef BUG_SURPLUS_BEFORE_THE_ROW
#define NOT_THE_OWN(i) true
#else
#define NOT_THE_OWN(i) (machine[t] != i + 1)
#endif

inline give_back_surplus() {
	atomic {
		i = 0;
		do
		:: i < MACHINES ->
			if
			/* Its row comes first, and is refused where the machine has become the one of the token meanwhile. */
			:: i != m && OF(i, t) && life[i] == SHOWN && NOT_THE_OWN(i) ->
				assert(!IN_USE(i));
				doubled[i] = true;
				life[i] = LEAVING
			:: else
			fi;
			i++
		:: else -> i = 0; break
		od
	}
}

#ifdef KEYS
/* The same call with the same token: the claim and the row are looked at as it leaves. */
inline send_again(t) {
	atomic {
		ok = holder == me && !lapsed && !older && !stop && stage[t] == UNKNOWN;
#ifndef BUG_KEY_OUTLIVED
		ok = ok && fresh[t];
#endif
		if
		:: !ok
		:: ok && fresh[t] && OF(0, t) && !doubled[0] -> if :: BILLED(0) -> m = 0; answer = MADE :: answer = LOST_ANSWER fi
		:: ok && fresh[t] && !(OF(0, t) && !doubled[0]) && OF(1, t) && !doubled[1] ->
			if :: BILLED(1) -> m = 1; answer = MADE :: answer = LOST_ANSWER fi
		:: ok && !(fresh[t] && ((OF(0, t) && !doubled[0]) || (OF(1, t) && !doubled[1]))) ->
			if
			:: answer = LOST_ANSWER
			:: born < MACHINES -> made[t]++; assert(made[t] <= 1); m = born; make(HIDDEN, t); answer = MADE
			:: born < MACHINES -> made[t]++; assert(made[t] <= 1); make(FLYING, t); answer = LOST_ANSWER
			fi
		fi
	}
	atomic {
		if
		:: ok && answer == MADE ->
			adopt(t, m);
			if
			:: !ok && !IN_USE(m) -> give_back(m)
			:: else
			fi
		:: else
		fi
	}
}
#endif

/* What became of a create call whose answer nobody has. */
inline resolve() {
#ifdef KEYS
	if
	:: at == UNKNOWN -> send_again(t)
	:: true
	fi;
#endif
	atomic {
		if
		:: LISTED(0) && OF(0, t) && !doubled[0] -> m = 0
		:: !(LISTED(0) && OF(0, t) && !doubled[0]) && LISTED(1) && OF(1, t) && !doubled[1] -> m = 1
		:: PASSED(t) && !(LISTED(0) && OF(0, t)) && !(LISTED(1) && OF(1, t)) -> m = NOBODY
#ifdef ROLLBACK
		:: !(BILLED(0) && OF(0, t)) && !(BILLED(1) && OF(1, t)) -> m = TOO_LATE
#else
		/* It should be listed by now, or its provider cannot be asked, and the client that made the call still lives (so that no
		   older journal can have come between): it may be there all the same. */
		:: m = TOO_LATE
#endif
		fi
	}
#ifdef BUG_SURPLUS_BEFORE_THE_ROW
	if
	:: m < MACHINES -> give_back_surplus()
	:: else
	fi;
#endif
	atomic {
		if
#ifndef BUG_CLOSED_ON_AN_OLD_LOOK
		:: m >= MACHINES && stage[t] != at -> ok = false
		:: m == NOBODY && stage[t] == at -> step(t, RELEASED)
		:: m == TOO_LATE && stage[t] == at -> step(t, UNRESOLVED)
#else
		:: m == NOBODY -> step(t, RELEASED)
		:: m == TOO_LATE -> step(t, UNRESOLVED)
#endif
		:: m < MACHINES -> adopt(t, m)
		fi
	}
	atomic {
		if
		:: ok && m < MACHINES -> give_back_surplus()
		:: else
		fi
	}
}

inline look_at_boot() {
	if
	:: stop -> step(t, RELEASING)
	:: !stop && ALIVE(m) -> step(t, REACHABLE)
	:: step(t, LOST)
	/* The id in the answer named nothing: the token is asked for. */
	:: !stop && !ALIVE(m) -> step(t, UNKNOWN); if :: ok -> machine[t] = 0 :: else fi
	fi
}

inline follow() {
	if
	:: !mute && ALIVE(m) && job[m] == ENDED -> step(t, FINISHED); if :: ok -> step(t, RELEASING) :: else fi
	:: !mute && !stop && ALIVE(m) && job[m] == NOTHING -> begin(m)
	:: !ALIVE(m) -> step(t, LOST)
#ifdef LIES
	/* One bounded attempt to end what runs there, whose failure is an answer too. */
#ifdef BUG_RELEASE_WAITS_FOR_THE_NODE
	:: stop && !mute -> step(t, LOST)
#else
	:: stop -> step(t, LOST)
#endif
#endif
	:: stage[t] != RUNNING
#ifdef BUG_ABSENCE_TAKEN_FOR_GONE
	:: life[m] == HIDDEN ->
		machine[t] = 0;
		step(t, LOST);
		step(t, RELEASING);
		step(t, RELEASED)
#endif
	fi
}

inline release() {
	atomic {
		if
#ifdef BUG_RELEASE_WAITS_FOR_WHAT_IS_KEPT
		:: m != NOBODY && !mute -> give_back(m)
		:: m == NOBODY
#else
		:: m != NOBODY -> give_back(m)
		:: else
#endif
		fi
	}
	atomic {
		if
#ifdef BUG_RELEASE_BELIEVED_AT_ONCE
		:: true -> step(t, RELEASED)
#else
		:: m == NOBODY || life[m] == GONE -> step(t, RELEASED)
		:: m != NOBODY && life[m] != GONE
#endif
		fi
	}
}

/* The row to go on with, the newest, as it is read once: its stage and the machine in it. */
inline newest() {
	d_step {
		t = NOBODY;
		m = NOBODY;
		at = NONE;
		i = 0;
		do
		:: i < TOKENS -> if :: stage[i] != NONE -> t = i :: else fi; i++
		:: else -> i = 0; break
		od;
		if
		:: t != NOBODY -> at = stage[t]; past = late[t]; if :: machine[t] != 0 -> m = machine[t] - 1 :: else fi
		:: else
		fi
	}
}

inline advance() {
	if
	:: atomic { at == NONE || at == RELEASED || past -> take_another() };
		if
		:: ok -> create()
		:: else
		fi
	:: at == INTENDED || at == UNKNOWN -> resolve()
	:: atomic { at == OWNED -> look_at_boot() }
	:: atomic { at == REACHABLE && stop -> step(t, RELEASING) }
	:: atomic { at == REACHABLE && !stop -> step(t, RUNNING) };
		atomic {
			if
			:: ok -> begin(m)
			:: else
			fi
		}
	:: atomic { at == RUNNING -> follow() }
	:: atomic { at == FINISHED || at == LOST -> step(t, RELEASING) }
	:: at == RELEASING && !past -> release()
	fi
}

inline forget() {
	t = 0;
	m = 0;
	at = 0;
	past = false;
	answer = 0;
	sending[me] = 0;
	i = 0
}

inline let_go() {
	if
	:: holder == me -> lapsed = true
	:: else
	fi;
	forget();
	ok = false
}

proctype Client(byte me) {
	byte t, m, at, answer, i;
	bool ok, past;
alive:
	{
		do
		:: atomic { !ok && !ended && !older && (holder == 0 || lapsed) -> holder = me; lapsed = false; ok = true }
		:: atomic { ok && !ended && !older -> newest() };
			advance();
			atomic { forget(); if :: !ok || ended || older -> let_go() :: else fi }
		:: atomic { ok && (ended || older) -> let_go() }
		od
	} unless { atomic { killed == me -> killed = 0; let_go(); goto alive } }
}

/* `lepton reconcile`, again and again. What makes a machine a surplus is never undone, so that no time between its looks counts. */
#define SURPLUS(m) (!older && life[m] == SHOWN && (stage[token[m]] == RELEASED || (OPEN(token[m]) && machine[token[m]] != 0 && machine[token[m]] != m + 1)))

#define FOUND(m, t) (life[m] == SHOWN && OF(m, t))
#define SOUGHT(t) (!older && late[t])

/* What may still come of a create call that nobody waits for. */
inline seek(t) {
	if
	:: SOUGHT(t) && stage[t] == UNRESOLVED && FOUND(0, t) -> step(t, RELEASING); machine[t] = 1
	:: SOUGHT(t) && stage[t] == UNRESOLVED && FOUND(1, t) -> step(t, RELEASING); machine[t] = 2
	:: SOUGHT(t) && stage[t] == UNRESOLVED && PASSED(t) && !(LISTED(0) && OF(0, t)) && !(LISTED(1) && OF(1, t)) -> step(t, RELEASED)
	:: SOUGHT(t) && stage[t] == RELEASING && life[machine[t] - 1] == SHOWN -> give_back(machine[t] - 1)
	:: SOUGHT(t) && stage[t] == RELEASING && life[machine[t] - 1] == HIDDEN -> give_back(machine[t] - 1)
	:: SOUGHT(t) && stage[t] == RELEASING && life[machine[t] - 1] == GONE -> step(t, RELEASED)
	fi;
	ok = false
}

proctype Sweep() {
	bool ok;
	do
	:: atomic { SURPLUS(0) -> give_back(0) }
	:: atomic { SURPLUS(1) -> give_back(1) }
	:: atomic { seek(0) }
	:: atomic { seek(1) }
#if TOKENS > 2
	:: atomic { seek(2) }
#endif
	od
}

inline live(m) {
	if
	:: life[m] == FLYING -> life[m] = HIDDEN
	:: life[m] == HIDDEN -> life[m] = SHOWN
	:: life[m] == LEAVING -> life[m] = GONE; if :: job[m] == GOING -> job[m] = CUT_OFF :: else fi
	:: job[m] == GOING && !mute -> job[m] = ENDED
	:: ALIVE(m) && !mute -> taken[m] = true; if :: job[m] == GOING -> job[m] = CUT_OFF :: else fi
	fi
}

#ifdef ROLLBACK
inline keep() {
	i = 0;
	do
	:: i < TOKENS -> old_stage[i] = stage[i]; old_machine[i] = machine[i]; old_late[i] = late[i]; i++
	:: else -> i = 0; break
	od;
	old_holder = holder; old_succeeded = succeeded; old_ended = ended
}

inline bring_back() {
	older = (old_ended != ended || old_succeeded != succeeded);
	i = 0;
	do
	:: i < TOKENS ->
		older = older || stage[i] != old_stage[i] || machine[i] != old_machine[i];
		stage[i] = old_stage[i]; machine[i] = old_machine[i]; late[i] = old_late[i]; i++
	:: else -> i = 0; break
	od;
	holder = old_holder; succeeded = old_succeeded; ended = old_ended;
#ifdef BUG_OLD_JOURNAL_NOT_FROZEN
	older = false
#endif
}
#endif

/* The provider, the clocks, and whatever ends clients. */
proctype World() {
	byte i;
	do
	:: atomic { live(0) }
	:: atomic { live(1) }
	:: atomic { killed == 0 && crashes > 0 -> crashes--; if :: killed = 1 :: killed = 2 fi }
#ifdef LIES
	:: atomic { !mute && !ended -> mute = true }
	:: atomic { !stop && !ended -> stop = true }
#endif
	:: atomic { holder != 0 && !lapsed && lapses > 0 -> lapses--; lapsed = true }
#ifdef KEYS
	:: atomic { fresh[0] -> fresh[0] = false }
	:: atomic { fresh[1] -> fresh[1] = false }
#endif
#ifdef ROLLBACK
	:: d_step { !saved && !older -> saved = true; keep() }
	:: d_step { saved && !rolled -> rolled = true; bring_back() }
	/* Who adopts has waited out the provider's horizon and has given strays back: until then it stays frozen. */
	:: d_step { older && STRAY(0) && life[0] == SHOWN -> life[0] = LEAVING }
	:: d_step { older && STRAY(1) && life[1] == SHOWN -> life[1] = LEAVING }
	:: d_step { older && !STRAY(0) && !STRAY(1) -> older = false }
#endif
	od
}

/* When nothing can happen any more. */
proctype Settled() {
	byte m;
	timeout ->
		assert(ended);
		assert(!OPEN(0) && !OPEN(1) && !OPEN(TOKENS - 1));
		for (m : 0 .. MACHINES - 1) {
			assert(life[m] == FREE || life[m] == GONE)
		}
}

init {
	atomic { run World(); run Client(1); run Client(2); run Sweep(); run Settled() }
}
