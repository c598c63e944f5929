"""The queueing simulation of tests/bench against what theory knows."""
import os
import sys
import unittest

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))
from queueing import Replica, random_arrivals, replicas_for, simulate  # noqa: E402


class Simulation(unittest.TestCase):
    def test_one_at_a_time_waits_as_pollaczek_and_khinchine_say(self):
        for load in (0.3, 0.6, 0.8):
            replica = Replica(batch=0.0, picture=0.1, batch_max=1, queue=10 ** 9)
            latencies, refused = simulate(replica, random_arrivals(load / 0.1, 200000))
            expected = 0.1 + load * 0.1 / (2 * (1 - load))
            # mean of 200,000 dependent waits: within 3 % at these loads
            self.assertAlmostEqual(latencies.mean() / expected, 1, delta=0.03)
            self.assertEqual((refused, latencies.min() >= 0.1 - 1e-9), (0, True))

    def test_overload_is_refused_and_bounds_the_wait(self):
        replica = Replica(batch=0.05, picture=0.01, batch_max=8, queue=64)
        latencies, refused = simulate(replica, random_arrivals(2 * replica.capacity()))
        self.assertAlmostEqual(refused, 0.5, delta=0.02)  # half of what comes can be done
        # 64 pictures are there at most: 8 batches, the last of which is one's own
        self.assertLessEqual(latencies.max(), 9 * replica.seconds(8))

    def test_batches_carry_more_than_single_pictures(self):
        alone = Replica(batch=0.05, picture=0.01, batch_max=1, queue=10 ** 9)
        together = alone._replace(batch_max=8)
        arrivals = random_arrivals(1.5 * alone.capacity())
        self.assertGreater(np.median(simulate(alone, arrivals)[0]), 10)  # it grows without end
        self.assertLess(np.quantile(simulate(together, arrivals)[0], 0.99), 1)

    def test_replicas_are_the_fewest_that_meet_the_objective(self):
        replica = Replica(batch=0.0, picture=0.1, batch_max=8, queue=256)
        count, latencies = replicas_for(replica, 50, 1.0, 0.99)
        self.assertLessEqual(np.quantile(latencies, 0.99), 1.0)
        fewer, _ = simulate(replica, random_arrivals(50 / (count - 1)))
        self.assertGreater(np.quantile(fewer, 0.99), 1.0)


if __name__ == "__main__":
    unittest.main()
