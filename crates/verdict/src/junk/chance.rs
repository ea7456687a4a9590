//! Many small probabilities as one: Fisher's method, once for junk and once against it. Numbers in,
//! a number out.

/// How likely junk is, from the probabilities of single words: 0 no, 1 yes, one half undecided.
pub(super) fn combined(chances: &[f64]) -> f64 {
    if chances.is_empty() {
        return 0.5;
    }
    let clamp = |chance: f64| chance.clamp(1e-6, 1.0 - 1e-6);
    let for_junk: f64 = chances.iter().map(|chance| (1.0 - clamp(*chance)).ln()).sum();
    let against: f64 = chances.iter().map(|chance| clamp(*chance).ln()).sum();
    let junk = 1.0 - tail(-2.0 * for_junk, chances.len());
    let wanted = 1.0 - tail(-2.0 * against, chances.len());
    (1.0 + junk - wanted) / 2.0
}

/// The probability that chi-square with `2 * pairs` degrees of freedom is `value` or more.
fn tail(value: f64, pairs: usize) -> f64 {
    let half = value / 2.0;
    // In logarithms: exp(-half) alone would be zero for long letters.
    let mut term = -half;
    let mut sum = term.exp();
    for n in 1..pairs {
        term += (half / n as f64).ln();
        sum += term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_opinion_of_many() {
        assert!(combined(&[0.99; 10]) > 0.999);
        assert!(combined(&[0.01; 10]) < 0.001);
        assert!((combined(&[0.99, 0.01]) - 0.5).abs() < 1e-9);
        assert!((combined(&[]) - 0.5).abs() < 1e-9);
        let long = combined(&[0.9; 150]);
        assert!(long.is_finite() && long > 0.999);
        // chi-square with 2 degrees of freedom: exp(-x/2).
        assert!((tail(2.0, 1) - (-1.0f64).exp()).abs() < 1e-12);
    }
}
