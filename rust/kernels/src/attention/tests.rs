use super::naive;
use super::problem::Problem;
use super::{forward, weights};
use crate::layers::samples::{LAYOUTS, Layout, Sample, on_every_level, unit};
use crate::random::Stream;
use crate::simd::{Level, Real};
use crate::view::{View, ViewMut};
use crate::{Context, Error};

const QUERIES: &[usize] = &[
    1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 34, 63, 64, 65, 130,
];
const KEYS: &[usize] = &[
    0, 1, 5, 6, 7, 8, 9, 16, 63, 64, 65, 66, 127, 255, 256, 257, 258, 300, 2047, 2048, 2049, 2050,
    4100,
];
const DIMS: &[usize] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 40, 64, 80, 128, 160];

#[derive(Clone, Copy, Debug)]
struct Shape {
    items: usize,
    heads: usize,
    key_heads: usize,
    queries: usize,
    keys: usize,
    head_dim: usize,
    value_dim: usize,
}

/// A problem with its memory.
struct Case<T> {
    shape: Shape,
    query: Sample<T>,
    key: Sample<T>,
    value: Sample<T>,
    mask: Option<(Vec<u8>, [isize; 4])>,
    bias: Option<Sample<T>>,
    slopes: Option<Sample<T>>,
    sinks: Option<Sample<T>>,
    lengths: Option<Vec<i64>>,
    offset: Option<Vec<i64>>,
    causal: bool,
    left: Option<usize>,
    right: Option<usize>,
    softcap: Option<T>,
}

impl<T: Real> Case<T> {
    /// No option.
    fn plain(stream: u64, shape: Shape, layout: Layout) -> Self {
        let Shape {
            items,
            heads,
            key_heads,
            queries,
            keys,
            head_dim,
            value_dim,
        } = shape;
        let sample = |shape: &[usize], at| Sample::random(shape, layout, 16 * stream + at);
        Self {
            shape,
            query: sample(&[items, heads, queries, head_dim], 0),
            key: sample(&[items, key_heads, keys, head_dim], 1),
            value: sample(&[items, key_heads, keys, value_dim], 2),
            mask: None,
            bias: None,
            slopes: None,
            sinks: None,
            lengths: None,
            offset: None,
            causal: false,
            left: None,
            right: None,
            softcap: None,
        }
    }

    /// A random mix of options.
    fn mixed(stream: u64, shape: Shape) -> Self {
        let dice = Stream::new(11, stream);
        let layout = LAYOUTS[dice.below(0, 3) as usize];
        let mut case = Self::plain(stream, shape, layout);
        let Shape {
            items,
            heads,
            queries,
            keys,
            ..
        } = shape;
        let often = |item, outof| dice.below(item, outof) == 0;
        let plane = [items, heads, queries, keys];
        if often(1, 4) {
            let strides = match dice.below(2, 3) {
                0 => [heads * queries * keys, queries * keys, keys, 1],
                1 => [keys, 0, 0, 1],
                _ => [0, 0, 1, queries],
            };
            let mask = (0..items * heads * queries * keys)
                .map(|i| u8::from(dice.below(1000 + i as u64, 3) > 0))
                .collect();
            case.mask = Some((mask, strides.map(|stride| stride as isize)));
        }
        if often(3, 4) {
            case.bias = Some(Sample::new(&plane, layout, |i| {
                match dice.below(1000 + i as u64, 7) {
                    0 => f64::NEG_INFINITY,
                    n => n as f64 / 3.0 - 1.0,
                }
            }));
        }
        if often(4, 4) {
            let slope = |i: usize| 0.5_f64.powi(i as i32 + 2);
            case.slopes = Some(Sample::new(&[items, heads], Layout::Contiguous, slope));
        }
        if often(5, 4) {
            case.sinks = Some(Sample::random(
                &[items, heads],
                Layout::Contiguous,
                16 * stream + 3,
            ));
        }
        if often(6, 4) {
            let length = |item| dice.below(100 + item as u64, keys as u64 + 1) as i64;
            case.lengths = Some((0..items).map(length).collect());
        }
        if often(7, 4) {
            let span = (queries + keys) as u64 + 1;
            let offset = |item| dice.below(200 + item as u64, span) as i64 - queries as i64;
            case.offset = Some((0..items).map(offset).collect());
        }
        case.causal = often(8, 3);
        case.left = often(9, 4).then(|| dice.below(10, keys as u64 + 2) as usize);
        case.right = often(12, 5).then(|| dice.below(13, keys as u64 + 2) as usize);
        case.softcap = often(14, 4).then(|| T::from_f64(3.0));
        case
    }

    fn problem(&self) -> Problem<'_, T> {
        let Shape {
            items,
            heads,
            queries,
            keys,
            head_dim,
            ..
        } = self.shape;
        Problem {
            query: self.query.view(),
            key: self.key.view(),
            value: Some(self.value.view()),
            causal: self.causal,
            window_left: self.left,
            window_right: self.right,
            mask: self.mask.as_ref().map(|(mask, strides)| {
                View::new(mask, 0, &[items, heads, queries, keys], strides).expect("inside")
            }),
            bias: self.bias.as_ref().map(Sample::view),
            alibi_slopes: self.slopes.as_ref().map(Sample::view),
            sinks: self.sinks.as_ref().map(Sample::view),
            scale: T::from_f64(0.3 / (head_dim as f64).sqrt()),
            softcap: self.softcap,
            key_lengths: self.lengths.as_ref().map(|x| over_items(x)),
            query_offset: self.offset.as_ref().map(|x| over_items(x)),
        }
    }

    /// Output and log-sum-exp.
    fn forward(&self, level: Level, threads: usize) -> (Sample<T>, Sample<T>) {
        let Shape {
            items,
            heads,
            queries,
            value_dim,
            ..
        } = self.shape;
        let mut out = Sample::new(&[items, heads, queries, value_dim], Layout::Gaps, |_| 77.0);
        let mut lse = Sample::new(&[items, heads, queries, 1], Layout::Contiguous, |_| 77.0);
        let context = on(level, threads);
        forward(
            &self.problem(),
            out.view_mut(),
            Some(lse.view_mut()),
            &context,
        )
        .expect("valid");
        (out, lse)
    }

    /// The bits of both.
    fn bits(&self, level: Level, threads: usize) -> (Vec<u64>, Vec<u64>) {
        let (out, lse) = self.forward(level, threads);
        (out.bits(), lse.bits())
    }
}

fn over_items(numbers: &[i64]) -> View<'_, i64> {
    View::contiguous(numbers, &[numbers.len()]).expect("one a item")
}

fn on(level: Level, threads: usize) -> Context<'static> {
    Context {
        level,
        threads,
        cancelled: &|| false,
    }
}

/// Shapes that meet every listed length, none of which takes long.
fn shapes() -> impl Iterator<Item = (u64, Shape)> {
    (0..240).map(|i| {
        let dice = Stream::new(13, i);
        let at = i as usize;
        let (queries, keys) = (QUERIES[at % QUERIES.len()], KEYS[at % KEYS.len()]);
        let mut head_dim = DIMS[at % DIMS.len()];
        let mut value_dim = DIMS[dice.below(0, DIMS.len() as u64) as usize];
        if queries * keys > 50_000 {
            (head_dim, value_dim) = (head_dim.min(9), value_dim.min(9));
        }
        let small = queries * keys * (head_dim + value_dim) < 200_000;
        let key_heads = 1 + dice.below(1, 2) as usize * usize::from(small);
        let shape = Shape {
            items: 1 + dice.below(2, 2) as usize * usize::from(small),
            heads: key_heads * (1 + dice.below(3, 4) as usize * usize::from(small)),
            key_heads,
            queries,
            keys,
            head_dim,
            value_dim,
        };
        (i, shape)
    })
}

fn is_near(got: f64, truth: f64, bound: f64) -> bool {
    got == truth || (got.is_nan() && truth.is_nan()) || (got - truth).abs() <= bound
}

fn forward_and_weights_are_their_formula<T: Real>() {
    for (stream, shape) in shapes() {
        let case = Case::<T>::mixed(stream, shape);
        let rows = naive::attention(&case.problem());
        on_every_level(|name, level| {
            let what = format!("{name}, case {stream}: {shape:?}");
            let (out, lse) = case.forward(level, 2);
            let plane = [shape.items, shape.heads, shape.queries, shape.keys];
            let mut matrix = Sample::<T>::new(&plane, Layout::Gaps, |_| 77.0);
            weights(&case.problem(), matrix.view_mut(), &on(level, 2)).expect("valid");
            let (out, lse, matrix) = (out.truth(), lse.truth(), matrix.truth());
            for (i, row) in rows.iter().enumerate() {
                let relative = 32.0 * unit::<T>() * (row.terms + 4.0);
                let least = T::SMALLEST_NORMAL.to_f64();
                let (got, truth) = (lse[i], row.lse);
                assert!(
                    is_near(got, truth, relative),
                    "{what}: lse {i} {got} {truth}"
                );
                for column in 0..shape.value_dim {
                    let (got, truth) = (out[i * shape.value_dim + column], row.out[column]);
                    let bound = relative * row.size[column] + least;
                    assert!(is_near(got, truth, bound), "{what}: out {i} {got} {truth}");
                }
                for key in 0..shape.keys {
                    let (got, truth) = (matrix[i * shape.keys + key], row.weights[key]);
                    let bound = relative * truth + least;
                    assert!(
                        is_near(got, truth, bound),
                        "{what}: weight {i} {got} {truth}"
                    );
                }
            }
        });
    }
}

#[test]
fn forward_and_weights_are_their_formula_in_float32() {
    forward_and_weights_are_their_formula::<f32>();
}

#[test]
fn forward_and_weights_are_their_formula_in_float64() {
    forward_and_weights_are_their_formula::<f64>();
}

fn threads_do_not_change_a_bit<T: Real>() {
    for (stream, shape) in shapes().step_by(3) {
        let case = Case::<T>::mixed(stream, shape);
        on_every_level(|name, level| {
            let one = case.bits(level, 1);
            for threads in [2, 3, 7] {
                let many = case.bits(level, threads);
                assert!(
                    one == many,
                    "{name}, {threads} threads, case {stream}: {shape:?}"
                );
            }
        });
    }
}

#[test]
fn same_bits_at_1_2_3_and_7_threads() {
    threads_do_not_change_a_bit::<f32>();
    threads_do_not_change_a_bit::<f64>();
}

const LONG: usize = 40;

/// `queries` of the rows of `whole`, which has one item and one head, by themselves.
fn some_queries<T: Real>(whole: &Case<T>, stream: u64, first: usize, queries: usize) -> Case<T> {
    let shape = Shape {
        queries,
        ..whole.shape
    };
    let rows = |sample: &Sample<T>, columns: usize| {
        let all = sample.truth();
        Sample::new(&[1, 1, queries, columns], Layout::Contiguous, |i| {
            all[first * columns + i]
        })
    };
    let mut part = Case::mixed(stream, shape);
    part.key = Sample::new(&[1, 1, shape.keys, shape.head_dim], Layout::Contiguous, {
        let all = whole.key.truth();
        move |i| all[i]
    });
    part.value = Sample::new(&[1, 1, shape.keys, shape.value_dim], Layout::Contiguous, {
        let all = whole.value.truth();
        move |i| all[i]
    });
    part.query = rows(&whole.query, shape.head_dim);
    part.bias = whole.bias.as_ref().map(|bias| rows(bias, shape.keys));
    part.mask = whole.mask.as_ref().map(|(mask, strides)| {
        let mask = mask[first * shape.keys..(first + queries) * shape.keys].to_vec();
        (mask, *strides)
    });
    part.slopes = whole.slopes.as_ref().map(|x| again(x, &[1, 1]));
    part.sinks = whole.sinks.as_ref().map(|x| again(x, &[1, 1]));
    part.lengths.clone_from(&whole.lengths);
    part.offset = whole.offset.as_ref().map(|x| vec![x[0] + first as i64]);
    (part.causal, part.left, part.right) = (whole.causal, whole.left, whole.right);
    part.softcap = whole.softcap;
    part
}

fn again<T: Real>(sample: &Sample<T>, shape: &[usize]) -> Sample<T> {
    let all = sample.truth();
    Sample::new(shape, Layout::Contiguous, |i| all[i])
}

fn few_queries_have_the_bits_of_many<T: Real>() {
    for stream in 0..36 {
        let keys = [7, 255, 257, 600, 2049, 4100][stream as usize % 6];
        let dim = DIMS[stream as usize * 5 % DIMS.len()];
        let shape = Shape {
            items: 1,
            heads: 1,
            key_heads: 1,
            queries: LONG,
            keys,
            head_dim: dim,
            value_dim: DIMS[stream as usize * 3 % DIMS.len()],
        };
        let mut whole = Case::<T>::mixed(stream, shape);
        if let Some((_, strides)) = &mut whole.mask {
            *strides = [0, 0, keys as isize, 1];
        }
        let last = whole.lengths.as_ref().map_or(keys as i64, |x| x[0]) - LONG as i64;
        whole.offset.get_or_insert_with(|| vec![last]);
        on_every_level(|name, level| {
            let (out, lse) = whole.bits(level, 2);
            for queries in 1..=8 {
                let first = (stream as usize * 7 + queries * 3) % (LONG - queries);
                let part = some_queries(&whole, stream, first, queries);
                let (few, few_lse) = part.bits(level, 2);
                let what = format!("{name}, {queries} from {first}, case {stream}: {shape:?}");
                let columns = shape.value_dim;
                assert!(
                    few == out[first * columns..(first + queries) * columns],
                    "{what}"
                );
                assert!(few_lse == lse[first..first + queries], "{what}, lse");
            }
        });
    }
}

#[test]
fn few_queries_have_the_bits_that_they_have_among_many_in_float32() {
    few_queries_have_the_bits_of_many::<f32>();
}

#[test]
fn few_queries_have_the_bits_that_they_have_among_many_in_float64() {
    few_queries_have_the_bits_of_many::<f64>();
}

fn items_do_not_see_each_other<T: Real>() {
    for (queries, causal) in [(1, false), (5, true), (40, true)] {
        let lengths = [300, 1, 257, 0, 64, 299, 255, 130];
        let shape = Shape {
            items: 8,
            heads: 4,
            key_heads: 2,
            queries,
            keys: 300,
            head_dim: 24,
            value_dim: 19,
        };
        let mut all = Case::<T>::plain(5, shape, Layout::Contiguous);
        all.causal = causal;
        all.lengths = Some(lengths.to_vec());
        let (key, value) = (all.key.truth(), all.value.truth());
        let padded = |from: &[f64], dim: usize| {
            Sample::new(&[8, 2, 300, dim], Layout::Gaps, |i| {
                let (item, at) = (i / (600 * dim), i / dim % 300);
                let hidden = at as i64 >= lengths[item];
                if hidden { f64::NAN } else { from[i] }
            })
        };
        all.key = padded(&key, 24);
        all.value = padded(&value, 19);
        on_every_level(|name, level| {
            let (out, lse) = all.bits(level, 2);
            for (item, &length) in lengths.iter().enumerate() {
                let keys = length as usize;
                let own = Shape {
                    items: 1,
                    keys,
                    ..shape
                };
                let mut alone = Case::<T>::plain(5, own, Layout::Contiguous);
                alone.causal = causal;
                let query = all.query.truth();
                let each = 4 * queries * 24;
                alone.query = Sample::new(&[1, 4, queries, 24], Layout::Contiguous, |i| {
                    query[item * each + i]
                });
                let cut = |from: &[f64], dim: usize| {
                    Sample::new(&[1, 2, keys, dim], Layout::Contiguous, |i| {
                        let (head, rest) = (i / (keys * dim), i % (keys * dim));
                        from[(item * 2 + head) * 300 * dim + rest]
                    })
                };
                (alone.key, alone.value) = (cut(&key, 24), cut(&value, 19));
                let (own, own_lse) = alone.bits(level, 1);
                let rows = 4 * queries;
                let what = format!("{name}: {queries} queries, item {item}");
                assert!(
                    own == out[item * rows * 19..(item + 1) * rows * 19],
                    "{what}"
                );
                assert!(
                    own_lse == lse[item * rows..(item + 1) * rows],
                    "{what}, lse"
                );
            }
        });
    }
}

#[test]
fn an_item_alone_has_the_bits_that_it_has_padded_among_eight() {
    items_do_not_see_each_other::<f32>();
    items_do_not_see_each_other::<f64>();
}

fn hidden_values_do_not_leak<T: Real>() {
    for (queries, keys, bad) in [(40, 40, 17), (3, 300, 298), (8, 8, 4), (70, 520, 500)] {
        let shape = Shape {
            items: 1,
            heads: 1,
            key_heads: 1,
            queries,
            keys,
            head_dim: 9,
            value_dim: 21,
        };
        let mut case = Case::<T>::plain(9, shape, Layout::Contiguous);
        case.causal = true;
        let offset = keys - queries;
        on_every_level(|name, level| {
            let (key, value) = (again(&case.key, &[1, 1, keys, 9]), case.value.truth());
            let clean = case.bits(level, 2).0;
            for (poison, in_key) in [
                (f64::NAN, false),
                (f64::INFINITY, false),
                (f64::NEG_INFINITY, false),
                (f64::NAN, true),
            ] {
                let put = |from: &[f64], dim: usize, here: bool| {
                    Sample::new(&[1, 1, keys, dim], Layout::Contiguous, |i| {
                        if here && i / dim == bad {
                            poison
                        } else {
                            from[i]
                        }
                    })
                };
                let poisoned = Case {
                    key: put(&key.truth(), 9, in_key),
                    value: put(&value, 21, !in_key),
                    query: again(&case.query, &[1, 1, queries, 9]),
                    ..Case::plain(9, shape, Layout::Contiguous)
                };
                let poisoned = Case {
                    causal: true,
                    ..poisoned
                };
                let (out, _) = poisoned.forward(level, 2);
                let (bits, out) = (out.bits(), out.truth());
                for query in 0..queries {
                    let row = query * 21..(query + 1) * 21;
                    let what = format!("{name}: {poison} at key {bad}, query {query}");
                    if query + offset < bad {
                        assert!(bits[row.clone()] == clean[row], "{what} leaks");
                    } else {
                        assert!(!out[row].iter().any(|x| x.is_finite()), "{what} is lost");
                    }
                }
            }
        });
    }
}

#[test]
fn hidden_nan_and_infinity_do_not_leak_and_visible_ones_show() {
    hidden_values_do_not_leak::<f32>();
    hidden_values_do_not_leak::<f64>();
}

#[test]
fn a_cancelled_call_ends_as_interrupted() {
    // Long enough to be asked about: the same item again and again.
    for (queries, items) in [(1, 2000), (300, 100)] {
        let shape = Shape {
            items: 1,
            heads: 4,
            key_heads: 4,
            queries,
            keys: 4100,
            head_dim: 16,
            value_dim: 16,
        };
        let case = Case::<f32>::plain(2, shape, Layout::Contiguous);
        let (query, key) = (case.query.elements(), case.key.elements());
        let value = case.value.elements();
        let repeated = |elements, length: usize| {
            let strides = [0, length as isize * 16, 16, 1];
            View::new(elements, 0, &[items, 4, length, 16], &strides).expect("inside")
        };
        let problem = Problem {
            query: repeated(&query, queries),
            key: repeated(&key, 4100),
            value: Some(repeated(&value, 4100)),
            ..case.problem()
        };
        let mut out = vec![0.0; items * 4 * queries * 16];
        on_every_level(|name, level| {
            for threads in [1, 2] {
                let out = ViewMut::contiguous(&mut out, &[items, 4, queries, 16]).expect("whole");
                let context = Context {
                    cancelled: &|| true,
                    ..on(level, threads)
                };
                let result = forward(&problem, out, None, &context);
                assert!(
                    matches!(result, Err(Error::Interrupted)),
                    "{name}: {result:?}"
                );
            }
        });
    }
}

#[test]
fn shapes_that_do_not_go_together_name_their_argument() {
    let shape = Shape {
        items: 2,
        heads: 4,
        key_heads: 2,
        queries: 3,
        keys: 5,
        head_dim: 8,
        value_dim: 7,
    };
    let case = Case::<f32>::plain(1, shape, Layout::Contiguous);
    let refused = |problem: &Problem<'_, f32>, out: &[usize]| {
        let mut out = Sample::<f32>::new(out, Layout::Contiguous, |_| 0.0);
        let (_, level) = crate::simd::levels()[0];
        match forward(problem, out.view_mut(), None, &on(level, 1)) {
            Err(Error::Shape { argument, .. } | Error::Value { argument, .. }) => argument,
            other => panic!("{other:?}"),
        }
    };
    let out = [2, 4, 3, 7];
    let view = |shape: &[usize]| Sample::<f32>::random(shape, Layout::Contiguous, 3);
    for (argument, bad) in [
        ("key", vec![2, 3, 5, 8]),
        ("key", vec![2, 2, 5, 9]),
        ("key", vec![1, 2, 5, 8]),
        ("value", vec![2, 2, 6, 7]),
        ("value", vec![2, 4, 5, 7]),
        ("bias", vec![2, 4, 3, 6]),
        ("alibi_slopes", vec![2, 3]),
        ("sinks", vec![1, 4]),
        ("query", vec![3, 8]),
    ] {
        let bad = view(&bad);
        let mut problem = case.problem();
        match argument {
            "key" => problem.key = bad.view(),
            "value" => problem.value = Some(bad.view()),
            "bias" => problem.bias = Some(bad.view()),
            "alibi_slopes" => problem.alibi_slopes = Some(bad.view()),
            "sinks" => problem.sinks = Some(bad.view()),
            _ => problem.query = bad.view(),
        }
        assert_eq!(refused(&problem, &out), argument);
    }
    assert_eq!(refused(&case.problem(), &[2, 4, 3, 8]), "out");
    let (mask, lengths) = ([1_u8; 20], [5, 6]);
    let mut problem = case.problem();
    problem.mask = Some(View::contiguous(&mask, &[4, 5]).expect("whole"));
    assert_eq!(refused(&problem, &out), "mask");
    let mut problem = case.problem();
    problem.key_lengths = Some(over_items(&lengths));
    assert_eq!(refused(&problem, &out), "key_lengths");
    problem.key_lengths = Some(over_items(&lengths[..1]));
    assert_eq!(refused(&problem, &out), "key_lengths");
}
