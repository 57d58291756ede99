//! The random numbers here and those of the NumPy reference, against one file: tests/known/random.txt.

use std::fmt::Write;

use numfuse_kernels::random::{Stream, Variate};

/// Names a case, a sum over all its bits in which places count, and its first numbers.
fn line(name: &str, numbers: &[u64]) -> String {
    let (sum, parity) = numbers
        .iter()
        .zip(0_u64..)
        .fold((0_u64, 0), |(sum, parity), (&x, i)| {
            (sum.wrapping_add(x.wrapping_mul(2 * i + 1)), parity ^ x)
        });
    let mut line = format!("{name} {:016x}", sum ^ parity);
    for number in numbers.iter().take(6) {
        write!(line, " {number:x}").expect("a string takes all");
    }
    line
}

fn draw<T: Variate>(
    kind: &str,
    stream: &Stream,
    first: u64,
    zeros: &mut [T],
    bits: impl Fn(T) -> u64,
) -> Vec<u64> {
    match kind {
        "uniform" => stream.fill_uniform(first, zeros),
        _ => stream.fill_exponential(first, zeros),
    }
    zeros.iter().map(|&number| bits(number)).collect()
}

#[test]
fn a_seed_gives_the_numbers_that_it_gave_before_and_in_numpy() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/known/random.txt");
    let known = std::fs::read_to_string(path).expect("the file stands beside the Python tests");
    let mut cases = 0;
    for known in known.lines() {
        let mut words = known.split(' ');
        let (kind, what) = (
            words.next().expect("kind"),
            words.next().expect("dtype or bound"),
        );
        let mut number = || {
            words
                .next()
                .and_then(|word| word.parse().ok())
                .expect("a number")
        };
        let (seed, stream, first, count): (u64, u64, u64, u64) =
            (number(), number(), number(), number());
        let from = Stream::new(seed, stream);
        let length = count as usize;
        let numbers = match (kind, what) {
            ("uniform" | "exponential", "float32") => {
                draw(kind, &from, first, &mut vec![0_f32; length], |x| {
                    u64::from(x.to_bits())
                })
            }
            ("uniform" | "exponential", "float64") => {
                draw(kind, &from, first, &mut vec![0_f64; length], f64::to_bits)
            }
            ("below", bound) => {
                let bound = bound.parse().expect("a number");
                (first..first + count)
                    .map(|item| from.below(item, bound))
                    .collect()
            }
            ("permutation", _) => {
                let mut order: Vec<u64> = (0..count).collect();
                from.shuffle(&mut order);
                order
            }
            _ => panic!("unknown case {known}"),
        };
        assert_eq!(
            line(
                &format!("{kind} {what} {seed} {stream} {first} {count}"),
                &numbers
            ),
            known
        );
        cases += 1;
    }
    assert_eq!(cases, 24, "each case of tests/known/random_cases.py");
}
