use holdfast_bench::storm::chance::{over_at, share_over_by};

/// The share as whoever tries every order finds it.
fn by_trying(x: f64, places: &[f64], lengths: &[f64]) -> f64 {
    fn orders(places: &[f64], left: &mut Vec<f64>, x: f64) -> (u64, u64) {
        let Some((first, rest)) = places.split_first() else { return (1, 1) };
        let (mut good, mut all) = (0, 0);
        for n in 0..left.len() {
            let length = left.remove(n);
            let (g, a) = orders(rest, left, x);
            good += if first + length <= x { g } else { 0 };
            all += a;
            left.insert(n, length);
        }
        (good, all)
    }
    let (good, all) = orders(places, &mut lengths.to_vec(), x);
    good as f64 / all as f64
}

#[test]
fn the_share_of_orders_that_are_over_is_what_trying_all_of_them_finds() {
    let places = [0.0, 0.0, 1.0, 2.5, 4.0, 4.5];
    let lengths = [1.0, 2.0, 2.0, 5.0, 8.0, 9.5];
    for half_seconds in 0..32 {
        let x = f64::from(half_seconds) / 2.0;
        let (worked_out, tried) =
            (share_over_by(x, &places, &lengths), by_trying(x, &places, &lengths));
        assert!((worked_out - tried).abs() < 1e-12, "{x}: {worked_out} and not {tried}");
    }
}

#[test]
fn so_many_orders_and_no_more_come_below_the_bound() {
    let places: Vec<f64> = (0..400).map(|n| f64::from(n) / 5.0).collect();
    let lengths: Vec<f64> = (0..400).map(|n| 5.0 + f64::from(n * 7 % 400) / 5.0).collect();
    let mut sorted = lengths;
    sorted.sort_by(f64::total_cmp);
    let bound = over_at(0.01, &places, &sorted);
    let share = |x: f64| share_over_by(x, &places, &sorted);
    assert!(share(bound - 0.01) <= 0.01 && share(bound + 0.5) > 0.01, "{bound}");
    // The last call leaves at 79.8, the longest takes 84.8: with foresight it is over long before.
    assert!(bound > 79.8 + 50.0 && bound < 79.8 + 84.8, "{bound}");
}

#[test]
fn where_every_length_is_the_same_chance_decides_nothing() {
    let over = over_at(0.01, &[0.0, 1.0, 2.0], &[3.0, 3.0, 3.0]);
    assert!((over - 5.0).abs() < 0.001, "{over}");
}
