"""Children of `multiprocessing` that make one prediction each and exit normally."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import otel_ml

METHOD, KIND = sys.argv[1:3]
telemetry = otel_ml.configure(service_name="children", schedule_delay=5.0, metric_export_interval=60.0)
model = otel_ml.Model("m", version="1", events="all")


def work(number):
    with model.prediction({"x": float(number)}) as prediction:
        prediction.set_output(prediction=1, score=0.5)


def main():
    context = multiprocessing.get_context(METHOD)
    if KIND == "process":
        children = [context.Process(target=work, args=(number,)) for number in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join()
    elif KIND == "executor":
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            list(pool.map(work, range(4)))
    else:
        with context.Pool(2, maxtasksperchild=1) as pool:
            pool.map(work, range(4), chunksize=1)
            pool.close()
            pool.join()


if __name__ == "__main__":
    main()
