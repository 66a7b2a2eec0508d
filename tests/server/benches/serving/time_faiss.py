"""Answers requests for timings of faiss's flat index, one line each.

Arguments: a file of track vectors, a file of query vectors (float32, rows of
unit length), dims. Requests on stdin: `scan THREADS COUNT FIRST` searches COUNT
queries one by one and answers with the seconds of each; `batch THREADS`
searches all queries in one call and answers with its seconds.
"""

import sys
import time

import faiss
import numpy

NEIGHBOURS = 10


def main():
    dims = int(sys.argv[3])
    tracks, queries = (numpy.fromfile(path, numpy.float32).reshape(-1, dims) for path in sys.argv[1:3])
    index = faiss.IndexFlatIP(dims)
    index.add(tracks)
    print(f"faiss {faiss.__version__}", flush=True)
    for line in sys.stdin:
        kind, threads, *numbers = line.split()
        faiss.omp_set_num_threads(int(threads))
        times = []
        if kind == "scan":
            count, first = map(int, numbers)
            for at in range(first, first + count):
                query = queries[at % len(queries)][None, :]
                start = time.perf_counter()
                index.search(query, NEIGHBOURS)
                times.append(time.perf_counter() - start)
        else:
            start = time.perf_counter()
            index.search(queries, NEIGHBOURS)
            times.append(time.perf_counter() - start)
        print(*times, flush=True)


main()
