"""The simulated bank, month by month, under any contact policy; and the command that writes it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from experiments.simulated_bank import activity, money, outreach, responses, service
from experiments.simulated_bank.config import SimulationConfig
from experiments.simulated_bank.journeys import Journeys, run_journeys
from experiments.simulated_bank.luck import Luck
from experiments.simulated_bank.network import Network, build_network
from experiments.simulated_bank.opening import next_needs, open_bank, solve_intercepts
from experiments.simulated_bank.outreach import Contacts, Policy
from experiments.simulated_bank.parameters import Parameters, compile_parameters
from experiments.simulated_bank.people import People, make_people
from experiments.simulated_bank.recorder import ID_FORMS, Recorder
from experiments.simulated_bank.state import State
from experiments.simulated_bank.table_log import write_parquet
from features.errors import ConfigError

Progress = Callable[[int, int, str], None]
"""Called with (steps done, steps in all, what is being done)."""


@dataclass(frozen=True)
class Month:
    """What was done and what came of it in one month."""

    month: int
    contacts: Contacts
    journeys: Journeys


class World:
    """One simulated bank; `advance` lives one month under a policy, on the luck of the seed.

    Two worlds of the same configuration, customers and seed differ only by what the policies did.
    """

    def __init__(self, config: SimulationConfig, customers: int, seed: int) -> None:
        if customers < 50:
            raise ConfigError(f"{customers} customers are too few for a bank; give 50 or more")
        self.parameters: Parameters = compile_parameters(config)
        self.luck = Luck(seed)
        self.recorder = Recorder(self.parameters, self.luck)
        self.people: People = make_people(self.parameters, customers, self.luck)
        self.network: Network = build_network(
            self.parameters, self.people, self.luck, self.recorder
        )
        self.state: State = open_bank(
            self.parameters, self.people, self.luck, self.network.staff >= 0
        )
        service.first_assessments(self.state, self.recorder)
        self.state.intercept = solve_intercepts(self.state)
        responses.first_permissions(self.state, self.recorder, self.state.present)
        self._shown = np.zeros((customers, 6), dtype=bool)

    def advance(self, policy: Policy = outreach.as_is) -> Month:
        """Live one month: contacts, applications, money, records; then the next month's state."""
        state, recorder = self.state, self.recorder
        contacts = policy(state, self.network)
        reach, contacted_at = outreach.reach_matrix(state, contacts)
        journeys = run_journeys(state, reach, contacted_at, recorder, self.network.org)
        activity.browse_before(state, recorder, journeys)
        activity.be_active(state, recorder, self.network.org)
        service.renew_assessments(state, journeys, recorder)
        service.rate_journeys(state, journeys, recorder)
        service.offer_credit(state, recorder)
        service.grant_benefits(state, journeys, recorder)
        service.restrict(state, recorder)
        month = Month(state.month, contacts, journeys)
        responses.record_contacts(state, contacts, journeys, recorder)
        responses.change_access(state, recorder)
        money.settle_maturities(state, recorder)
        money.open_holdings(state, journeys, recorder)
        money.close_some(state)
        money.move_money(state, recorder)
        money.run_debts(state, recorder)
        money.run_markets(state)
        self._shown = money.write_balances(state, recorder, self._shown)
        self._turn_the_page(journeys)
        return month

    def _turn_the_page(self, journeys: Journeys) -> None:
        state = self.state
        order = np.argsort(journeys.began, kind="stable")
        state.last_handle[journeys.customer[order]] = journeys.handle[order]
        state.need = next_needs(state)
        state.month += 1
        if state.month >= self.parameters.config.months:
            return
        joining = self.people.join_month == state.month
        state.present = state.present | joining
        responses.first_permissions(state, self.recorder, joining)
        state.held = state.count_held()
        state.maturing = money.falling_due(state)

    def write(self, out: Path) -> dict[str, int]:
        """Write the tables of the contract and, in `truth/` apart, what the bank cannot see."""
        money.write_holdings(self.state, self.recorder)
        service.write_customers(self.state, self.network, self.recorder)
        counts = self.recorder.log.write(out)
        self._write_truth(out / "truth")
        return counts

    def _write_truth(self, folder: Path) -> None:
        folder.mkdir()
        people, config = self.people, self.parameters.config
        latents: dict[str, pa.Array] = {
            "customer_id": pa.array([ID_FORMS["customer_id"] % n for n in range(len(people))]),
            "join_month": pa.array(people.join_month),
            **{
                name: pa.array(getattr(people, name))
                for name in ("ease", "patience", "risk", "distance", "prudence", "wealth")
            },
        }
        for column, need in enumerate(config.needs.loadings):
            latents[f"need_{need}"] = pa.array(people.trait[:, column])
        for name in config.reaches:
            latents[f"reach_{name}"] = pa.array(
                people.reach_taste[:, self.parameters.channel(name)]
            )
        for column, name in enumerate(self.parameters.handles):
            latents[f"handle_{name}"] = pa.array(people.handle_taste[:, column])
        write_parquet(pa.table(latents), folder / "latents.parquet")
        world = {
            "seed": self.luck.seed,
            "customers": len(people),
            "intercepts": dict(
                zip(self.parameters.products, self.state.intercept.tolist(), strict=True)
            ),
            "config": config.model_dump(mode="json"),
        }
        text = json.dumps(world, ensure_ascii=False, indent=1) + "\n"
        (folder / "world.json").write_text(text, encoding="utf-8")


def simulate(
    config: SimulationConfig,
    customers: int,
    seed: int,
    out: Path,
    progress: Progress | None = None,
    policy: Policy = outreach.as_is,
) -> Path:
    """Simulate a bank and write its tables to the folder ``out``, which appears when all is done.

    ``customers`` ≥ 50. An earlier simulation in ``out`` is replaced; any other folder is refused.
    """
    _check_replaceable(out)
    world = World(config, customers, seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    for month in range(config.months):
        if progress:
            progress(month, config.months + 1, f"month {month + 1} of {config.months}")
        world.advance(policy)
    if progress:
        progress(config.months, config.months + 1, "writing tables")
    new = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        world.write(new)
        new.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        new.replace(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    if progress:
        progress(config.months + 1, config.months + 1, "done")
    return out


def open_world(folder: Path) -> World:
    """Reopen the world of a written simulation at its first month, from its `truth/` folder.

    Advance it under the policy of the log to reach the state of a later month, or under another
    policy on the same luck.
    """
    path = folder / "truth" / "world.json"
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give the folder that `simulate` wrote")
    world = json.loads(path.read_text(encoding="utf-8"))
    config = SimulationConfig.model_validate(world["config"])
    return World(config, world["customers"], world["seed"])


def _check_replaceable(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"{out}: is a file; give a folder")
    if any(out.iterdir()) and not (out / "truth" / "world.json").is_file():
        raise ConfigError(
            f"{out}: holds other files; give an empty folder or an earlier simulation"
        )
