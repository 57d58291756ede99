//! Our own small pool: parked workers, fixed tiles, an atomic counter; the caller takes tiles too.
//!
//! run:  publish the job in each worker's slot, wake them as a binary tree; take tiles; take the
//!       job back from workers that have not woken up; wait for those that have.
//!
//! Which tile does what is the kernel's matter and never depends on the number of threads, so
//! results do not either. A run that starts while the pool is busy, from another thread or from
//! inside a tile, stays on its caller. A forked child has none of its parent's workers: it is
//! known by its process id, makes a pool of its own and leaks the old one. Where no thread can be
//! spawned, fewer work, at last the caller alone.
//!
//! Only the calling thread asks [`Context::cancelled`], since in Python only a thread that holds
//! the interpreter's lock may look for signals; the others read a flag.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::{Context, Error};

/// More threads than this are never used, whatever the context says.
const MOST_THREADS: usize = 1024;
/// How often the calling thread asks whether to stop.
const POLL: Duration = Duration::from_millis(20);
/// How long a worker without work, or a caller that waits, looks before it sleeps: longer than the
/// gap between two kernels of one model layer, too short to be seen as load.
const SPIN: Duration = Duration::from_micros(30);

/// One tile's turn on one thread.
pub struct Turn<'t> {
    /// Which of the [`workers`] this is; 0 is the caller.
    pub worker: usize,
    /// The tile to do.
    pub tile: usize,
    /// The tile that this worker does afterwards, where that is settled: for prefetching. The last
    /// few tiles are claimed late, so that no thread is idle while another holds two.
    pub next: Option<usize>,
    stop: &'t AtomicBool,
    poll: Option<&'t Poll<'t>>,
}

impl Turn<'_> {
    /// Whether to give up: call it inside long tiles, every 50 µs or less often.
    pub fn cancelled(&self) -> bool {
        if let Some(poll) = self.poll {
            poll.ask(self.stop);
        }
        self.stop.load(Ordering::Relaxed)
    }
}

thread_local! {
    /// When this thread last asked whether to stop: kept between runs, since a call may consist of
    /// many short ones.
    static LAST_POLL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The calling thread's way to ask whether to stop, at most every [`POLL`].
struct Poll<'c> {
    cancelled: &'c dyn Fn() -> bool,
    interrupted: Cell<bool>,
}

impl Poll<'_> {
    fn ask(&self, stop: &AtomicBool) {
        let now = Instant::now();
        let due = LAST_POLL
            .get()
            .is_none_or(|last| now.duration_since(last) >= POLL);
        if due && !self.interrupted.get() {
            LAST_POLL.set(Some(now));
            if (self.cancelled)() {
                self.interrupted.set(true);
                stop.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// The tiles of one run, and how it ended.
struct Job<'j> {
    work: &'j (dyn Fn(Turn<'_>) + Sync),
    tiles: usize,
    /// Threads that may take part, the caller included.
    team: usize,
    claimed: AtomicUsize,
    stop: AtomicBool,
    panic: Mutex<Option<String>>,
}

impl<'j> Job<'j> {
    fn new(work: &'j (dyn Fn(Turn<'_>) + Sync), tiles: usize, team: usize) -> Self {
        Self {
            work,
            tiles,
            team,
            claimed: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
        }
    }

    fn claim(&self) -> Option<usize> {
        // Looked at first, so that the counter cannot run away from many vain attempts.
        if self.claimed.load(Ordering::Relaxed) >= self.tiles {
            return None;
        }
        let tile = self.claimed.fetch_add(1, Ordering::Relaxed);
        (tile < self.tiles).then_some(tile)
    }

    /// Claims the next tile ahead of time, but only while every thread can still get two more.
    fn claim_early(&self) -> Option<usize> {
        let left = self
            .tiles
            .saturating_sub(self.claimed.load(Ordering::Relaxed));
        if self.team == 1 || left >= 2 * self.team {
            self.claim()
        } else {
            None
        }
    }

    /// Takes tiles until there are none; a panic ends the run for all.
    fn take_tiles(&self, worker: usize, poll: Option<&Poll<'_>>) {
        self.guard(|| {
            let mut next = None;
            while let Some(tile) = next.or_else(|| self.claim()) {
                if let Some(poll) = poll {
                    poll.ask(&self.stop);
                }
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                next = self.claim_early();
                (self.work)(Turn {
                    worker,
                    tile,
                    next,
                    stop: &self.stop,
                    poll,
                });
            }
        });
    }

    /// Runs `step`; its panic, if any, is noted and ends the run for all.
    fn guard(&self, step: impl FnOnce()) {
        // After a panic only `panic` and `stop` are looked at: nothing half-changed is seen.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(step)) {
            self.stop.store(true, Ordering::Relaxed);
            let mut panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
            panic.get_or_insert_with(|| message(&*payload));
        }
    }

    fn result(self, poll: &Poll<'_>) -> Result<(), Error> {
        let panic = self
            .panic
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        match panic {
            Some(message) => Err(Error::Panicked { message }),
            None if poll.interrupted.get() => Err(Error::Interrupted),
            None => Ok(()),
        }
    }
}

/// A panic's message as far as it has one.
fn message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// A job and those it is lent to. It lies on the caller's stack.
struct Loan<'j> {
    job: Job<'j>,
    seats: &'j [Seat],
    /// How many workers may still touch this loan. It outlives the loan, so that the last of them
    /// can say so without touching it.
    pending: &'static AtomicUsize,
    caller: Thread,
    spin: Duration,
}

impl Loan<'_> {
    /// Wakes the two threads below `node` in the tree; the caller is node 0, seat i node i + 1.
    fn wake_below(&self, node: usize) {
        for seat in self.seats.iter().skip(2 * node).take(2) {
            seat.thread.unpark();
        }
    }
}

/// Where a worker finds its next loan.
struct Slot {
    loan: AtomicPtr<Loan<'static>>,
}

/// A worker as its pool knows it.
struct Seat {
    slot: Arc<Slot>,
    thread: Thread,
}

/// A worker's life: take a loan, look out for another, sleep.
fn serve(worker: usize, slot: &Slot) {
    let mut spin = Duration::ZERO;
    loop {
        spin_until(spin, || !slot.loan.load(Ordering::Relaxed).is_null());
        let loan = slot.loan.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: whoever put the loan into the slot keeps it alive until the worker that took it
        // out has dropped its Leave (see Lent).
        if let Some(loan) = unsafe { loan.as_ref() } {
            let leave = Leave {
                pending: loan.pending,
                caller: loan.caller.clone(),
            };
            spin = loan.spin;
            loan.wake_below(worker);
            loan.job.take_tiles(worker, None);
            drop(leave);
        } else {
            spin = Duration::ZERO;
            thread::park();
        }
    }
}

/// Says, when dropped, that this worker will not touch the loan again; so it borrows nothing of it.
struct Leave {
    pending: &'static AtomicUsize,
    caller: Thread,
}

impl Drop for Leave {
    fn drop(&mut self) {
        // Release: what this worker wrote is seen by the caller, which acquires the 0.
        if self.pending.fetch_sub(1, Ordering::Release) == 1 {
            self.caller.unpark();
        }
    }
}

/// A loan while it is out. However the caller leaves, by a panic too, dropping this takes the loan
/// back from workers that have not begun and waits for those that have: that makes lending them
/// the caller's stack sound.
struct Lent<'r, 'j> {
    loan: &'r Loan<'j>,
}

impl<'r, 'j> Lent<'r, 'j> {
    fn new(loan: &'r Loan<'j>) -> Self {
        loan.pending.store(loan.seats.len(), Ordering::Relaxed);
        let lent = Self { loan };
        // The lifetimes are erased here and nowhere else; `lent` keeps to them.
        let erased = ptr::from_ref(loan).cast::<Loan<'static>>().cast_mut();
        for seat in loan.seats {
            // Release: the worker, which acquires, sees the loan and the count of pending.
            seat.slot.loan.store(erased, Ordering::Release);
        }
        loan.wake_below(0);
        lent
    }

    fn is_back(&self) -> bool {
        self.loan.pending.load(Ordering::Acquire) == 0
    }

    /// Waits until no worker has the loan; calls `meanwhile` at least every [`POLL`].
    fn wait(&self, meanwhile: impl Fn()) {
        if self.is_back() {
            return;
        }
        for seat in self.loan.seats {
            if !seat
                .slot
                .loan
                .swap(ptr::null_mut(), Ordering::Relaxed)
                .is_null()
            {
                self.loan.pending.fetch_sub(1, Ordering::Relaxed);
            }
        }
        spin_until(self.loan.spin, || self.is_back());
        while !self.is_back() {
            meanwhile();
            thread::park_timeout(POLL);
        }
    }
}

impl Drop for Lent<'_, '_> {
    fn drop(&mut self) {
        self.wait(|| {});
    }
}

/// Busily waits for `done`, `longest` at most.
fn spin_until(longest: Duration, done: impl Fn() -> bool) {
    if longest.is_zero() || done() {
        return;
    }
    let start = Instant::now();
    while start.elapsed() < longest {
        for _ in 0..16 {
            if done() {
                return;
            }
            std::hint::spin_loop();
        }
    }
}

/// All workers of one process. Leaked, since workers outlive every run.
struct Pool {
    process: u32,
    cores: usize,
    /// Locked during a run: whoever finds it so runs alone.
    seats: Mutex<Vec<Seat>>,
    pending: AtomicUsize,
}

static POOL: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());

impl Pool {
    /// This process's pool. Takes no lock, because one that another thread held when the process
    /// was forked stays locked in the child for ever.
    fn get() -> &'static Self {
        let process = process::id();
        let mut known = POOL.load(Ordering::Acquire);
        loop {
            // SAFETY: POOL holds null or a leaked box, which nobody changes or frees.
            if let Some(pool) = unsafe { known.as_ref() }
                && pool.process == process
            {
                return pool;
            }
            let fresh = Box::into_raw(Box::new(Self {
                process,
                cores: thread::available_parallelism().map_or(1, usize::from),
                seats: Mutex::new(Vec::new()),
                pending: AtomicUsize::new(0),
            }));
            match POOL.compare_exchange(known, fresh, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: as above.
                Ok(_) => return unsafe { &*fresh },
                Err(other) => {
                    // SAFETY: Box::into_raw made it just now, and nobody else has seen it.
                    drop(unsafe { Box::from_raw(fresh) });
                    known = other;
                }
            }
        }
    }

    /// The seats, `count` of them if the system lets that many threads live; `None` while another
    /// run has them.
    fn seats(&self, count: usize) -> Option<MutexGuard<'_, Vec<Seat>>> {
        let mut seats = match self.seats.try_lock() {
            Ok(seats) => seats,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        while seats.len() < count {
            let slot = Arc::new(Slot {
                loan: AtomicPtr::new(ptr::null_mut()),
            });
            let (worker, own) = (seats.len() + 1, Arc::clone(&slot));
            let builder = thread::Builder::new().name(format!("numfuse-{worker}"));
            let Ok(handle) = builder.spawn(move || serve(worker, &own)) else {
                break;
            };
            seats.push(Seat {
                slot,
                thread: handle.thread().clone(),
            });
        }
        Some(seats)
    }
}

/// How many threads at most work on `tiles` tiles: every [`Turn::worker`] is below it.
pub fn workers(context: &Context<'_>, tiles: usize) -> usize {
    context.threads.min(tiles).clamp(1, MOST_THREADS)
}

/// Calls `work` once for each of `tiles` tiles, on up to `context.threads` threads, this one among
/// them. One tile or one thread never wakes another.
///
/// # Errors
/// [`Error::Interrupted`] if `context.cancelled` said so, [`Error::Panicked`] if a tile panicked;
/// either way some tiles may not have been done, and no thread is in `work` any more.
pub fn run(
    context: &Context<'_>,
    tiles: usize,
    work: &(dyn Fn(Turn<'_>) + Sync),
) -> Result<(), Error> {
    let poll = Poll {
        cancelled: context.cancelled,
        interrupted: Cell::new(false),
    };
    let others = workers(context, tiles) - 1;
    if others > 0 {
        let pool = Pool::get();
        if let Some(seats) = pool.seats(others) {
            return run_together(pool, &seats[..others.min(seats.len())], tiles, work, &poll);
        }
    }
    let job = Job::new(work, tiles, 1);
    job.take_tiles(0, Some(&poll));
    job.result(&poll)
}

fn run_together(
    pool: &'static Pool,
    seats: &[Seat],
    tiles: usize,
    work: &(dyn Fn(Turn<'_>) + Sync),
    poll: &Poll<'_>,
) -> Result<(), Error> {
    let team = seats.len() + 1;
    let loan = Loan {
        job: Job::new(work, tiles, team),
        seats,
        pending: &pool.pending,
        caller: thread::current(),
        spin: if team <= pool.cores {
            SPIN
        } else {
            Duration::ZERO
        },
    };
    let lent = Lent::new(&loan);
    loan.job.take_tiles(0, Some(poll));
    lent.wait(|| loan.job.guard(|| poll.ask(&loan.job.stop)));
    drop(lent);
    loan.job.result(poll)
}

#[cfg(test)]
mod tests;
