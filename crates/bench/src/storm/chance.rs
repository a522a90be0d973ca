//! What nobody can know ahead. How long a snapshot takes, or an instance until it serves, shows only
//! when it is over; so nobody can send the long ones first. Whoever decides without knowing the
//! lengths gives them to the places in the bucket's line by chance, however cleverly it chooses
//! otherwise: every order of the lengths is as likely as any other.
//!
//! From that follows when it may all be over: a call that leaves at `t` ends at `t` + its length, and
//! all have ended by `x` exactly if each place has a length of at most `x - t`. Of the orders in
//! which that is so there are, taking the latest place first, `n0 * (n1 - 1) * (n2 - 2) ...`, where
//! `nk` counts the lengths that fit the place: each later place takes one that would fit the earlier
//! ones as well.

/// Bisections: from days down to less than a millisecond.
const HALVINGS: usize = 40;

/// The share of all orders in which everything is over by `x`, from 0 to 1. `places` are the times at
/// which calls leave, ascending; `lengths` ascending, as many.
#[must_use]
pub fn share_over_by(x: f64, places: &[f64], lengths: &[f64]) -> f64 {
    let all = lengths.len();
    let mut share = 1.0;
    for (taken, place) in places.iter().rev().enumerate() {
        let fit = lengths.partition_point(|length| *length <= x - place);
        if fit == all {
            // So it is for every earlier place.
            return share;
        }
        if fit <= taken {
            return 0.0;
        }
        share *= (fit - taken) as f64 / (all - taken) as f64;
    }
    share
}

/// When everything is over at the earliest in all but `luck` (from 0 to 1) of the orders.
#[must_use]
pub fn over_at(luck: f64, places: &[f64], lengths: &[f64]) -> f64 {
    let (Some(last), Some(longest)) = (places.last(), lengths.last()) else { return 0.0 };
    let (mut low, mut high) = (*last, last + longest);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if share_over_by(middle, places, lengths) <= luck {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
