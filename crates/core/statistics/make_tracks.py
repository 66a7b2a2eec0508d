"""Computes tracks.json, the figures that generate_tracks() draws from.

    python make_tracks.py dataset.csv > tracks.json      (numpy, pandas, scipy)

Of every genre: how many tracks have it as primary genre; the quantiles of each
feature; the correlations of the features' normal scores; shares of artists,
versions, further genres and analyses that failed. No row of the file and none of
its names but those of the genres go into the result.
"""
import json
import sys
from collections import Counter

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import gammaln
from scipy.stats import norm, rankdata

ANALYSIS = ["danceability", "speechiness", "valence", "tempo", "time_signature"]
REAL = ["duration_ms", "danceability", "energy", "loudness", "speechiness", "acousticness",
        "instrumentalness", "liveness", "valence", "tempo", "popularity"]
DISCRETE = {"key": range(12), "mode": range(2), "time_signature": [1, 3, 4, 5], "explicit": range(2)}
LEVELS = [-3.2, -2.5, -2, -1.6, -1.3, -1, -.8, -.6, -.4, -.2, 0,
          .2, .4, .6, .8, 1, 1.3, 1.6, 2, 2.5, 3.2]
PARTNERS = 12


def clean(path):
    rows = pd.read_csv(path, index_col=0, keep_default_na=False, na_values=[""])
    rows = rows.dropna(subset=["track_id", "artists", "track_name"]).drop_duplicates()
    rows = rows.sort_values(["popularity", "track_genre", "track_id"], ascending=[False, True, True])
    genres = rows.groupby("track_id")["track_genre"].agg(lambda g: sorted(set(g)))
    tracks = rows.drop_duplicates("track_id").set_index("track_id")
    tracks["genres"] = genres
    tracks["failed"] = (tracks[ANALYSIS] == 0).all(axis=1)
    artists = tracks["artists"].str.split(";").map(lambda a: [x.strip() for x in a if x.strip()])
    tracks["artist"] = artists.str[0]
    tracks["credited"] = artists.str.len()
    tracks["song"] = tracks["track_name"].str.strip().str.lower() + "\n" + artists.map(";".join).str.lower()
    return tracks


def significant(values, digits=4):
    return [float(f"{value:.{digits}g}") for value in values]


def partition(sizes):
    """Concentration and discount of the Pitman-Yor process, by maximum likelihood."""
    sizes = np.array(sizes)
    n, k = sizes.sum(), len(sizes)

    def loss(x):
        discount = .95 / (1 + np.exp(-x[0]))
        theta = np.exp(x[1])
        new = np.log(theta + discount * np.arange(1, k)).sum()
        rows = gammaln(theta + n) - gammaln(theta + 1)
        groups = (gammaln(sizes - discount) - gammaln(1 - discount)).sum()
        return -(new - rows + groups)

    best = minimize(loss, [0, 2], method="Nelder-Mead").x
    return significant([np.exp(best[1]), .95 / (1 + np.exp(-best[0]))], 3)


def shares(counts, length):
    total = sum(counts.values())
    return significant([counts.get(i, 0) / total for i in range(length)], 3)


def correlations(tracks):
    # Popularity last: in the triangular factor it moves nothing else.
    names = REAL[:-1] + list(DISCRETE) + REAL[-1:]
    known = tracks[~tracks["failed"]][names].astype(float)
    n = len(known)
    scores = np.column_stack([norm.ppf((rankdata(known[name]) - .5) / n) for name in names])
    spread = scores.std(axis=0)
    scores = (scores - scores.mean(axis=0)) / np.where(spread > 0, spread, 1)
    matrix = scores.T @ scores / n * n / (n + 20)
    np.fill_diagonal(matrix, 1)
    lower = np.round(100 * matrix[np.tril_indices(len(names), -1)]).astype(int)
    rounded = np.eye(len(names))
    rounded[np.tril_indices(len(names), -1)] = lower / 100
    rounded += np.tril(rounded, -1).T
    assert np.linalg.eigvalsh(rounded).min() > .005, tracks["track_genre"].iloc[0]
    return lower.tolist()


def quantiles(values):
    """Share of zeros, and the others at LEVELS of the normal distribution."""
    values = np.sort(values.dropna().to_numpy(float))
    zeros = float((values == 0).mean())
    others = values[values != 0]
    if len(others) == 0:
        others = np.zeros(1)
    return [float(f"{zeros:.3g}"), *significant(np.quantile(others, norm.cdf(LEVELS)))]


def genre(name, tracks, index):
    known = tracks[~tracks["failed"]]
    songs = tracks.drop_duplicates("song")
    partners = Counter(g for genres in tracks["genres"] for g in genres if g != name)
    figures = {
        "genre": index[name],
        "tracks": len(tracks),
        "failed": float(f"{tracks['failed'].mean():.3g}"),
        "artists": partition(songs.groupby("artist").size()),
        "versions": float(f"{1 - len(songs) / len(tracks):.3g}"),
        "credited": shares(Counter((tracks["credited"] - 1).clip(upper=5)), 6),
        "genres": shares(Counter(tracks["genres"].str.len() - 1), 9),
        "partners": [[index[g], n] for g, n in partners.most_common(PARTNERS)],
        "quantiles": [quantiles((known if f in ANALYSIS else tracks)[f]) for f in REAL],
        "shares": [significant([float((known[f] == v).mean()) for v in values], 3)
                   for f, values in DISCRETE.items()],
        "correlations": correlations(tracks),
    }
    return figures


def likeness(tracks):
    """Share of the normal scores' variance within a genre that lies between artists."""
    between = []
    for name in REAL:
        known = tracks[~tracks["failed"]]
        score = known.groupby("track_genre")[name].transform(
            lambda v: norm.ppf((v.rank() - .5) / len(v)))
        groups = score.groupby([known["track_genre"], known["artist"]])
        size = groups.transform("size")
        inside = groups.transform("var")[size > 1].mean()
        between.append(max(0, 1 - inside / score[size > 1].var()))
    return float(f"{np.mean(between):.2g}")


def main(path):
    tracks = clean(path)
    names = sorted(set(g for genres in tracks["genres"] for g in genres))
    index = {name: i for i, name in enumerate(names)}
    by_genre = tracks.groupby("track_genre")
    artists = by_genre["artist"].nunique().sum()
    head = {
        "source": "Figures computed from the Spotify Tracks Dataset by maharshipandya (Kaggle), ODbL 1.0",
        "levels": LEVELS,
        "names": names,
        "shared_artists": float(f"{1 - tracks['artist'].nunique() / artists:.3g}"),
        "artist_likeness": likeness(tracks),
    }
    print(json.dumps(head, separators=(",", ":"))[:-1] + ',"genres":[')
    lines = [json.dumps(genre(g, t, index), separators=(",", ":")) for g, t in by_genre]
    print(",\n".join(lines) + "\n]}")


main(sys.argv[1])
