//! What users lose when the pool is wrong: results, Ctrl-C, a hung child, or the time of a core.

use std::sync::Barrier;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::simd::Level;

/// The pool belongs to the process, and a run that finds it busy stays alone: one test at a time.
fn have_the_pool() -> MutexGuard<'static, ()> {
    static FREE: Mutex<()> = Mutex::new(());
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

const NEVER: &dyn Fn() -> bool = &|| false;

fn context(threads: usize, cancelled: &dyn Fn() -> bool) -> Context<'_> {
    Context {
        level: Level::baseline(),
        threads,
        cancelled,
    }
}

/// Waits until `condition` holds, for which other threads run.
fn wait_for(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain");
        thread::yield_now();
    }
}

#[test]
fn every_tile_is_done_once_at_1_2_3_and_7_threads() {
    let _pool = have_the_pool();
    for threads in [1, 2, 3, 7] {
        for tiles in [0, 1, 2, 3, 8, 100] {
            let context = context(threads, NEVER);
            let done: Vec<AtomicUsize> = (0..tiles).map(|_| AtomicUsize::new(0)).collect();
            let most = workers(&context, tiles);
            run(&context, tiles, &|turn| {
                assert!(turn.worker < most);
                done[turn.tile].fetch_add(1, Ordering::Relaxed);
            })
            .expect("nothing fails");
            assert!(done.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        }
    }
}

#[test]
fn a_tile_announced_as_next_is_the_next() {
    let _pool = have_the_pool();
    for threads in [1, 2, 3] {
        let context = context(threads, NEVER);
        let announced: Vec<Mutex<Option<usize>>> = (0..threads).map(|_| Mutex::new(None)).collect();
        let early = AtomicUsize::new(0);
        run(&context, 60, &|turn| {
            let mut announced = announced[turn.worker].lock().expect("no panic");
            assert!(announced.is_none_or(|tile| tile == turn.tile));
            *announced = turn.next;
            early.fetch_add(usize::from(turn.next.is_some()), Ordering::Relaxed);
        })
        .expect("nothing fails");
        assert!(
            early.into_inner() >= 60 - 2 * threads - 1,
            "most tiles can be prefetched"
        );
    }
}

#[test]
fn two_tiles_go_to_two_threads_at_once() {
    let _pool = have_the_pool();
    // Each waits for the other, so that this only ends if both run at the same time.
    let arrived = AtomicUsize::new(0);
    run(&context(2, NEVER), 2, &|_| {
        arrived.fetch_add(1, Ordering::Relaxed);
        wait_for(|| arrived.load(Ordering::Relaxed) == 2);
    })
    .expect("both arrived");
}

#[test]
fn what_workers_wrote_is_seen_after_the_run() {
    let _pool = have_the_pool();
    let sums: Vec<AtomicU64> = (0..40).map(|_| AtomicU64::new(0)).collect();
    for round in 0..if cfg!(miri) { 5 } else { 2_000 } {
        run(&context(2, NEVER), sums.len(), &|turn| {
            let sum = sums[turn.tile].load(Ordering::Relaxed);
            sums[turn.tile].store(sum + round, Ordering::Relaxed);
        })
        .expect("nothing fails");
    }
    let first = sums[0].load(Ordering::Relaxed);
    assert!(sums.iter().all(|sum| sum.load(Ordering::Relaxed) == first));
}

#[test]
fn a_panic_in_any_tile_is_an_error_and_the_pool_lives_on() {
    let _pool = have_the_pool();
    for threads in [1, 2, 3] {
        for bad in [0, 5, 19] {
            let error = run(&context(threads, NEVER), 20, &|turn| {
                assert!(turn.tile != bad, "tile {} broke", turn.tile);
            })
            .expect_err("a tile panicked");
            assert_eq!(
                error,
                Error::Panicked {
                    message: format!("tile {bad} broke")
                }
            );
        }
        run(&context(threads, NEVER), 20, &|_| {}).expect("later runs work");
    }
}

#[test]
fn ctrl_c_ends_a_run_of_many_tiles_at_any_thread_count() {
    let _pool = have_the_pool();
    for threads in [1, 2, 3] {
        let begun = AtomicUsize::new(0);
        let asked = Cell::new(0);
        let cancelled = || {
            asked.set(asked.get() + 1);
            begun.load(Ordering::Relaxed) > 0
        };
        let result = run(&context(threads, &cancelled), 1_000_000, &|_| {
            begun.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(1));
        });
        assert_eq!(result, Err(Error::Interrupted));
        assert!(begun.into_inner() < 1_000_000);
        assert!(asked.get() <= 3, "not asked again after it said so");
    }
}

#[test]
fn ctrl_c_reaches_into_one_long_tile() {
    let _pool = have_the_pool();
    for threads in [1, 2] {
        let begun = AtomicUsize::new(0);
        let cancelled = || begun.load(Ordering::Relaxed) > 0;
        let result = run(&context(threads, &cancelled), 2, &|turn| {
            begun.fetch_add(1, Ordering::Relaxed);
            wait_for(|| turn.cancelled());
        });
        assert_eq!(result, Err(Error::Interrupted));
    }
}

#[test]
fn ctrl_c_is_noticed_while_the_caller_waits_for_a_worker() {
    let _pool = have_the_pool();
    // The caller's tile ends at once; the worker's ends when it is told to.
    wait_for(|| {
        let by_worker = AtomicBool::new(false);
        let cancelled = || by_worker.load(Ordering::Relaxed);
        let result = run(&context(2, &cancelled), 2, &|turn| {
            if turn.worker > 0 {
                by_worker.store(true, Ordering::Relaxed);
                wait_for(|| turn.cancelled());
            }
        });
        let reached = by_worker.into_inner();
        assert_eq!(result.is_err(), reached);
        reached
    });
}

#[test]
fn a_panic_of_the_question_itself_waits_for_the_workers() {
    let _pool = have_the_pool();
    for tiles in [1, 50] {
        let inside = AtomicUsize::new(0);
        let cancelled = || panic!("no answer");
        LAST_POLL.set(None);
        let result = run(&context(3, &cancelled), tiles, &|_| {
            inside.fetch_add(1, Ordering::Relaxed);
            thread::yield_now();
            inside.fetch_sub(1, Ordering::Relaxed);
        });
        assert_eq!(inside.into_inner(), 0);
        assert_eq!(
            result,
            Err(Error::Panicked {
                message: "no answer".to_owned()
            })
        );
    }
}

#[test]
fn a_run_inside_a_tile_stays_on_its_thread() {
    let _pool = have_the_pool();
    let inner = AtomicUsize::new(0);
    run(&context(2, NEVER), 4, &|_| {
        let outer = thread::current().id();
        run(&context(2, NEVER), 5, &|_| {
            inner.fetch_add(1, Ordering::Relaxed);
            assert_eq!(thread::current().id(), outer);
        })
        .expect("nothing fails");
    })
    .expect("nothing fails");
    assert_eq!(inner.into_inner(), 20);
}

#[test]
fn two_callers_at_once_both_get_their_results() {
    let _pool = have_the_pool();
    let both = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                both.wait();
                for _ in 0..if cfg!(miri) { 3 } else { 500 } {
                    let sum = AtomicUsize::new(0);
                    run(&context(3, NEVER), 30, &|turn| {
                        sum.fetch_add(turn.tile, Ordering::Relaxed);
                    })
                    .expect("nothing fails");
                    assert_eq!(sum.into_inner(), 435);
                }
            });
        }
    });
}
