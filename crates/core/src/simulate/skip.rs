//! Skips, after Lamere, "The Skip" (musicmachinery.com, 2014), on billions of
//! Spotify plays: 24.14 % of plays end within 5 s, 28.97 % within 10 s, 35.05 %
//! within 30 s, 48.6 % before the end; more than half in the teens, about 25 %
//! at 35 and about 42 % at 48; above 50 % on weekends.
//!
//! p = curve(age) · weekend · impatience · (1 + skip_taste · (a₀ − a)), where a is
//! the nearness of track and taste and a₀ its mean over plays, so that nearness
//! moves skips between tracks and leaves every published mean where it is.

use super::random::Draws;

/// Share of plays that end before the track does, over all.
pub const LAMERE_SKIPPED: f64 = 0.486;
/// Milliseconds, and share of plays that end within.
pub const LAMERE_WITHIN: [(i32, f64); 3] = [(5_000, 0.241), (10_000, 0.289), (30_000, 0.3505)];
/// Weekend and weekday factor; with 30.6 % of plays on weekends their mean is 1.
pub const WEEKEND: [f64; 2] = [0.975, 1.06];

/// Skip rate by age. Lamere's figures at 35 and 48 and above a half in the teens;
/// between them straight lines, and the teens as high as the mean over all asks for.
const BY_AGE: [(f64, f64); 9] = [
    (16.0, 0.64),
    (20.0, 0.60),
    (25.0, 0.50),
    (30.0, 0.35),
    (34.0, 0.25),
    (36.0, 0.25),
    (46.0, 0.42),
    (50.0, 0.42),
    (64.0, 0.30),
];

/// Skip rate of an age; [`LAMERE_SKIPPED`] where the age is not known.
pub fn by_age(age: Option<i32>) -> f64 {
    let Some(age) = age.map(f64::from) else { return LAMERE_SKIPPED };
    let after = BY_AGE.iter().position(|p| p.0 >= age).unwrap_or(BY_AGE.len() - 1);
    let (right, left) = (BY_AGE[after], BY_AGE[after.max(1) - 1]);
    if right.0 <= left.0 || age >= right.0 {
        return right.1;
    }
    left.1 + (right.1 - left.1) * ((age - left.0) / (right.0 - left.0)).max(0.0)
}

/// How long a skipped play lasted, in milliseconds; less than `duration`.
#[inline]
pub(crate) fn skipped_after(duration: i32, draws: &mut Draws) -> i32 {
    let at = draws.unit() * LAMERE_SKIPPED;
    let [(five, p5), (ten, p10), (thirty, p30)] = LAMERE_WITHIN;
    let (low, high) = match at {
        p if p < p5 => (300, five),
        p if p < p10 => (five + 1, ten),
        p if p < p30 => (ten + 1, thirty),
        _ => (thirty + 1, duration - 1),
    };
    if low >= high || high >= duration {
        return (f64::from(duration) * draws.between(0.1, 0.95)) as i32;
    }
    draws.between(f64::from(low), f64::from(high)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curve_passes_through_the_published_ages() {
        assert_eq!(by_age(Some(35)), 0.25);
        assert_eq!(by_age(Some(48)), 0.42);
        assert!((by_age(Some(57)) - 0.36).abs() < 1e-12);
        assert!((16..20).all(|age| by_age(Some(age)) > 0.5));
        assert_eq!(by_age(Some(3)), by_age(Some(16)));
        assert_eq!(by_age(Some(99)), by_age(Some(64)));
        assert_eq!(by_age(None), 0.486);
    }

    #[test]
    fn a_skipped_play_is_shorter_than_the_track() {
        let mut draws = Draws::new(5);
        for duration in [2, 900, 4_000, 7_000, 29_000, 30_002, 200_000] {
            for _ in 0..1000 {
                let ms = skipped_after(duration, &mut draws);
                assert!((0..duration).contains(&ms), "{ms} of {duration}");
            }
        }
    }
}
