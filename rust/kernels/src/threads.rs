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

/// What the threads of one run share. It lies on the caller's stack.
struct Job<'j> {
    work: &'j (dyn Fn(Turn<'_>) + Sync),
    tiles: usize,
    /// Threads that may take part, the caller included.
    team: usize,
    claimed: AtomicUsize,
    stop: AtomicBool,
    panic: Mutex<Option<String>>,
    seats: &'j [Seat],
    /// Workers that may still touch this job.
    pending: &'static AtomicUsize,
    caller: Option<Thread>,
}

impl Job<'_> {
    fn claim(&self) -> Option<usize> {
        // Looked at first, so that the counter cannot run away from many idle attempts.
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
    fn work(&self, worker: usize, poll: Option<&Poll<'_>>) {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
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
        }));
        if let Err(payload) = outcome {
            self.fail(&*payload);
        }
    }

    fn fail(&self, payload: &(dyn Any + Send)) {
        self.stop.store(true, Ordering::Relaxed);
        let mut panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
        panic.get_or_insert_with(|| message(payload));
    }

    /// Wakes the two threads below `node` in the tree; the caller is node 0, seat i node i + 1.
    fn wake_below(&self, node: usize) {
        for seat in self.seats.iter().skip(2 * node).take(2) {
            seat.thread.unpark();
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

/// Where a worker finds its next job.
struct Slot {
    job: AtomicPtr<Job<'static>>,
}

/// A worker as its pool knows it.
struct Seat {
    slot: Arc<Slot>,
    thread: Thread,
}

/// All workers of this process. Leaked, hence `'static`: workers outlive every run.
struct Pool {
    process: u32,
    /// Held during a run: whoever finds it locked runs alone.
    seats: Mutex<Vec<Seat>>,
    /// Workers that may still touch the job of the present run.
    pending: AtomicUsize,
    cores: usize,
}

static POOL: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());

impl Pool {
    /// This process's pool. Takes no lock, because a lock that another thread held when the
    /// process was forked stays locked in the child for ever.
    fn get() -> &'static Self {
        let process = process::id();
        let mut known = POOL.load(Ordering::Acquire);
        loop {
            // SAFETY: POOL holds null or a leaked box that nobody frees after it was put here.
            if let Some(pool) = unsafe { known.as_ref() }
                && pool.process == process
            {
                return pool;
            }
            let fresh = Box::into_raw(Box::new(Self {
                process,
                seats: Mutex::new(Vec::new()),
                pending: AtomicUsize::new(0),
                cores: thread::available_parallelism().map_or(1, usize::from),
            }));
            match POOL.compare_exchange(known, fresh, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: as above.
                Ok(_) => return unsafe { &*fresh },
                Err(other) => {
                    // SAFETY: it came from Box::into_raw just now and nobody else has seen it.
                    drop(unsafe { Box::from_raw(fresh) });
                    known = other;
                }
            }
        }
    }

    /// The seats, unless a run is under way.
    fn try_seats(&self) -> Option<MutexGuard<'_, Vec<Seat>>> {
        match self.seats.try_lock() {
            Ok(seats) => Some(seats),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Spawns workers until there are `count` or the system has had enough.
fn grow(seats: &mut Vec<Seat>, count: usize, cores: usize) {
    while seats.len() < count {
        let slot = Arc::new(Slot {
            job: AtomicPtr::new(ptr::null_mut()),
        });
        let worker = seats.len() + 1;
        let own = Arc::clone(&slot);
        let spawned = thread::Builder::new()
            .name(format!("numfuse-{worker}"))
            .spawn(move || serve(worker, &own, cores));
        match spawned {
            Ok(handle) => seats.push(Seat {
                slot,
                thread: handle.thread().clone(),
            }),
            Err(_) => return,
        }
    }
}

/// A worker's life: take a job, look out for another, sleep.
fn serve(worker: usize, slot: &Slot, cores: usize) {
    let mut team = 0;
    loop {
        let spin = if team <= cores { SPIN } else { Duration::ZERO };
        spin_until(spin, || !slot.job.load(Ordering::Relaxed).is_null());
        let job = slot.job.swap(ptr::null_mut(), Ordering::Acquire);
        // SAFETY: whoever puts a job into a slot keeps it alive until the worker that took it out
        // has left it (see Team).
        match unsafe { job.as_ref() } {
            Some(job) => {
                team = job.team;
                let leave = Leave {
                    pending: job.pending,
                    caller: job.caller.clone(),
                };
                job.wake_below(worker);
                job.work(worker, None);
                drop(leave);
            }
            None => thread::park(),
        }
    }
}

/// Tells the caller, when dropped, that this worker will not touch the job again. It holds nothing
/// that borrows from the job.
struct Leave {
    pending: &'static AtomicUsize,
    caller: Option<Thread>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        if self.pending.fetch_sub(1, Ordering::Release) == 1
            && let Some(caller) = &self.caller
        {
            caller.unpark();
        }
    }
}

/// The workers that a job was given to. However the caller leaves, also by a panic, dropping this
/// takes the job back from those that have not begun and waits for those that have: that is what
/// makes lending them the caller's stack sound.
struct Team<'r, 'j> {
    job: &'r Job<'j>,
}

impl<'r, 'j> Team<'r, 'j> {
    fn start(job: &'r Job<'j>) -> Self {
        job.pending.store(job.seats.len(), Ordering::Relaxed);
        let team = Self { job };
        // The lifetime is erased here and nowhere else; Team restores it.
        let erased = ptr::from_ref(job).cast::<Job<'static>>().cast_mut();
        for seat in job.seats {
            seat.slot.job.store(erased, Ordering::Release);
        }
        job.wake_below(0);
        team
    }

    fn take_back(&self) {
        for seat in self.job.seats {
            if !seat
                .slot
                .job
                .swap(ptr::null_mut(), Ordering::Relaxed)
                .is_null()
            {
                self.job.pending.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn left(&self) -> bool {
        self.job.pending.load(Ordering::Acquire) == 0
    }

    /// Waits for the workers; meanwhile `meanwhile` is called every [`POLL`].
    fn wait(&self, meanwhile: &dyn Fn()) {
        self.take_back();
        let spin = if self.job.team <= Pool::get().cores {
            SPIN
        } else {
            Duration::ZERO
        };
        spin_until(spin, || self.left());
        while !self.left() {
            meanwhile();
            thread::park_timeout(POLL);
        }
    }
}

impl Drop for Team<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.job.stop.store(true, Ordering::Relaxed);
        }
        self.wait(&|| {});
    }
}

/// Busily waits for `done`, `longest` at most.
fn spin_until(longest: Duration, done: impl Fn() -> bool) {
    if longest.is_zero() || done() {
        return;
    }
    let start = Instant::now();
    while start.elapsed() < longest {
        for _ in 0..32 {
            if done() {
                return;
            }
            std::hint::spin_loop();
        }
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
    let team = workers(context, tiles);
    let pool = (team > 1).then(Pool::get);
    let mut seats = pool.and_then(Pool::try_seats);
    if let (Some(pool), Some(seats)) = (pool, &mut seats) {
        grow(seats, team - 1, pool.cores);
    }
    let seats = seats
        .as_deref()
        .map_or(&[][..], |seats| &seats[..seats.len().min(team - 1)]);
    static NOBODY: AtomicUsize = AtomicUsize::new(0);
    let job = Job {
        work,
        tiles,
        team: seats.len() + 1,
        claimed: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        panic: Mutex::new(None),
        seats,
        pending: pool
            .filter(|_| !seats.is_empty())
            .map_or(&NOBODY, |pool| &pool.pending),
        caller: (!seats.is_empty()).then(thread::current),
    };
    if seats.is_empty() {
        job.work(0, Some(&poll));
    } else {
        let team = Team::start(&job);
        job.work(0, Some(&poll));
        team.wait(&|| {
            let asked = catch_unwind(AssertUnwindSafe(|| poll.ask(&job.stop)));
            if let Err(payload) = asked {
                job.fail(&*payload);
            }
        });
    }
    job.result(&poll)
}
