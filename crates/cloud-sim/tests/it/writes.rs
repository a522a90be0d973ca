use holdfast_cloud_sim::rng::SplitMix64;
use holdfast_cloud_sim::writes::Writes;
use std::collections::BTreeSet;

/// Numbers of the reference sets lie below this.
const SPACE: u64 = 40;

fn numbers(writes: &Writes) -> BTreeSet<u64> {
    let one = |n| {
        let mut one = Writes::default();
        one.add(n, n);
        one
    };
    (0..=SPACE * 2).filter(|n| writes.holds(&one(*n))).collect()
}

fn drawn(rng: &mut SplitMix64) -> (Writes, BTreeSet<u64>) {
    let (mut writes, mut plain) = (Writes::default(), BTreeSet::new());
    for _ in 0..rng.between(0, 6) {
        let first = rng.between(1, SPACE);
        let last = first + rng.between(0, 8);
        writes.add(first, last);
        plain.extend(first..=last);
    }
    (writes, plain)
}

#[test]
fn a_set_of_ranges_is_the_set_of_its_numbers() {
    let mut rng = SplitMix64::new(3);
    for _ in 0..2_000 {
        let ((a, plain_a), (b, plain_b)) = (drawn(&mut rng), drawn(&mut rng));
        assert_eq!(numbers(&a), plain_a, "{a}");
        assert_eq!(a.count(), plain_a.len() as u64, "{a}");
        assert_eq!(a.highest(), plain_a.last().copied());
        let rest: BTreeSet<u64> = plain_a.difference(&plain_b).copied().collect();
        assert_eq!(numbers(&a.without(&b)), rest, "{a} without {b}");
        let mut both = a.clone();
        both.add_all(&b);
        assert_eq!(numbers(&both), plain_a.union(&plain_b).copied().collect(), "{a} and {b}");
        assert!(both.holds(&a) && both.holds(&b));

        let limit = rng.between(0, SPACE);
        let mut left = a.clone();
        let taken = left.take_up_to(limit);
        assert_eq!(numbers(&taken), plain_a.range(..=limit).copied().collect(), "{a} to {limit}");
        assert_eq!(numbers(&left), plain_a.range(limit + 1..).copied().collect());
        let mut left = a.clone();
        let first = left.take_first(limit);
        assert_eq!(numbers(&first), plain_a.iter().take(limit as usize).copied().collect());
        assert_eq!(first.count() + left.count(), a.count());
    }
}
