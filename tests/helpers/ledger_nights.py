"""Events of a ledger: single ones, and random nights of joins, losses, kills of the driver, reuse and shares."""

from __future__ import annotations

import dataclasses
import random

from orchestrator.ledger.events import MICROSECONDS, Event, Machine, Start, Stop

HOUR = 3_600 * MICROSECONDS
H100 = Machine(node="h", host="h", accelerator="H100", cpus=8, gpus=2, micro_usd_per_hour=2_990_000, price_from="label")
A40 = Machine(node="a", host="a", accelerator="A40", cpus=8, gpus=1, micro_usd_per_hour=440_001, price_from="prices")
FREE = Machine(node="c", host="c", accelerator="CPU", cpus=4, gpus=0)


def event(kind: str, at: int, item: object = None, **values: object) -> Event:
    fields = {} if item is None else dataclasses.asdict(item)  # type: ignore[call-overload]
    return Event(kind=kind, at=at, values={**fields, **values})  # type: ignore[arg-type]


def start(attempt: int, machine: Machine, share: float, at: int, trial: str = "t") -> Event:
    made = Start(
        attempt=attempt,
        trial_id=trial,
        node=machine.node,
        millionths=int(share * 1_000_000),
        devices=share * (machine.gpus or 1),
    )
    return event("start", at, made)


def stop(attempt: int, at: int, outcome: str = "completed", lost_from: int | None = None) -> Event:
    return event("stop", at, Stop(attempt=attempt, outcome=outcome, lost_from=lost_from))


def random_night(rng: random.Random, num_events: int) -> list[Event]:
    """Events as a driver writes them: a machine is never given away beyond its whole."""
    machines = [dataclasses.replace(rng.choice((H100, A40)), node=f"n{i}") for i in range(rng.randint(1, 4))]
    at, attempt, here, open_attempts = 0, 0, dict[str, Machine](), dict[int, tuple[str, int]]()
    events = [event("begin", 0)]
    for _ in range(num_events):
        at += rng.randint(0, HOUR)
        choice = rng.random()
        if choice < 0.2:
            machine = rng.choice(machines)
            here[machine.node] = machine
            events.append(event("join", at, machine))
        elif choice < 0.5 and here:
            machine = rng.choice(list(here.values()))
            used = sum(share for node, share in open_attempts.values() if node == machine.node)
            share = rng.choice((1_000_000, 500_000, 333_333, 1))
            if used + share <= 1_000_000:
                attempt += 1
                open_attempts[attempt] = machine.node, share
                made = Start(
                    attempt=attempt, trial_id=f"t{attempt % 5}", node=machine.node, millionths=share, devices=1
                )
                events.append(event("start", at, made))
        elif choice < 0.75 and open_attempts:
            done = rng.choice(list(open_attempts))
            open_attempts.pop(done)
            lost = rng.random() < 0.3
            events.append(stop(done, at, "lost" if lost else "completed", at - rng.randint(0, HOUR) if lost else None))
        elif choice < 0.9 and here:
            gone = rng.choice(list(here))
            here.pop(gone)
            events.append(event("leave", at, node=gone))
            for number in [number for number, (node, _) in open_attempts.items() if node == gone]:
                open_attempts.pop(number)
                events.append(stop(number, at + rng.randint(0, HOUR), "lost", at - rng.randint(0, HOUR)))
        elif choice > 0.95:
            open_attempts.clear()
            events.append(event("begin", at))
            survivors = {node: machine for node, machine in here.items() if rng.random() < 0.7}
            events += [event("join", at, machine) for machine in survivors.values()]
            events += [event("leave", at, node=node) for node in here.keys() - survivors.keys()]
            here = survivors
    return events
