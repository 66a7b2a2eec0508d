//! A million simulated plays have the statistics that are published.

mod simulated;

use simulated::{START, all, catalogue, generated, listeners};
use sparkify_core::simulate::report::{Metric, Report, ReportedPlay, ReportedUser};
use sparkify_core::simulate::*;

fn measure(
    catalogue: Catalogue,
    options: &SimulationOptions,
    users: i32,
    seed: i64,
) -> (usize, Vec<Metric>) {
    let (people, listeners) = listeners(&catalogue, users, seed);
    let sim = Simulation::calibrate(catalogue, options.clone(), &listeners, START, &|| {}).unwrap();
    let users: Vec<ReportedUser> = people
        .iter()
        .map(|p| {
            let liked = p.taste.genres.iter().filter(|g| g.1 > 0.08);
            let liked = liked.map(|g| sim.catalogue().genre_id(&g.0).unwrap()).collect();
            ReportedUser { age: Some(p.age), liked }
        })
        .collect();
    let genres_of = |track: u32| sim.catalogue().genres_of(track);
    let mut report = Report::new(&users, sim.catalogue().len(), genres_of, options).unwrap();
    let plays = all(&sim, &listeners, (START, START + 120 * DAY), 0);
    for play in &plays {
        report
            .add(ReportedPlay {
                user: play.user,
                track: Some(play.track),
                played_at: play.played_at,
                ms_played: Some(play.ms_played),
                skipped: Some(play.skipped),
                session: Some(play.session),
            })
            .unwrap();
    }
    (plays.len(), report.finish().unwrap())
}

fn missed(rows: &[Metric]) -> Vec<String> {
    let missed = rows.iter().filter(|row| row.within() != Some(true));
    missed
        .map(|r| format!("{}: {:?} for {} ± {}", r.metric, r.measured, r.target, r.tolerance))
        .collect()
}

#[test]
fn every_row_passes_on_a_million_plays() {
    let options = SimulationOptions { events_per_user: 2000, ..Default::default() };
    let catalogues = [(42, generated(10_000, &options)), (7, catalogue(40_000, 60, &options))];
    for (seed, catalogue) in catalogues {
        let (plays, rows) = measure(catalogue, &options, 500, seed);
        assert_eq!(missed(&rows), Vec::<String>::new(), "seed {seed}");
        assert_eq!(rows.len(), 27);
        let mean = plays as f64 / 500.0;
        assert!((mean / 2000.0 - 1.0).abs() < 0.03, "{mean} plays a user");
    }
}

#[test]
fn rows_miss_where_the_options_leave_what_is_published() {
    let options = SimulationOptions {
        events_per_user: 400,
        activity_spread: 0.2,
        popularity_exponent: 0.3,
        repeat_share: 0.0,
        coherence: 0.0,
        skip_taste: 0.0,
        monthly_churn: 0.5,
        ..Default::default()
    };
    let missed = missed(&measure(catalogue(40_000, 60, &options), &options, 300, 1).1).join("\n");
    for expected in [
        "standard deviation of the log",
        "top 10 %",
        "played before",
        "densest in the middle",
        "neighbours of one genre",
    ] {
        assert!(missed.contains(expected), "{expected} did not miss:\n{missed}");
    }
}

#[test]
fn the_mean_of_events_is_met_also_by_light_listeners() {
    let options = SimulationOptions { events_per_user: 15, ..Default::default() };
    let (plays, _) = measure(catalogue(5000, 60, &options), &options, 4000, 3);
    let mean = plays as f64 / 4000.0;
    assert!((mean / 15.0 - 1.0).abs() < 0.04, "{mean} plays a user");
}

#[test]
fn few_plays_are_measured_and_not_judged() {
    let options = SimulationOptions { events_per_user: 20, ..Default::default() };
    let (plays, rows) = measure(catalogue(3000, 30, &options), &options, 300, 1);
    assert!(plays < 100_000);
    assert!(rows.iter().filter(|row| row.measured.is_some()).count() > 20);
    assert!(rows.iter().all(|row| row.within().is_none()), "{rows:?}");
}

#[test]
fn an_empty_report_has_no_measures() {
    let options = SimulationOptions::default();
    let genres_of = |_: u32| -> &'static [u32] { &[] };
    let rows = Report::new(&[], 10, genres_of, &options).unwrap().finish().unwrap();
    assert_eq!(rows.len(), 27);
    assert!(rows.iter().all(|row| row.measured.is_none() && row.within().is_none()), "{rows:?}");
}
