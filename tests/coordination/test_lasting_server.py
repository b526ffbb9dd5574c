"""Writers of a server that stays wait for each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nkloop.coordination.settings import environment

MEET = """
import asyncio, sys
import sqlalchemy as sa
from prefect.server.database.configurations import AioSqliteConfiguration
from nkloop.coordination.lasting_server import take_turns

take_turns()
database = AioSqliteConfiguration(sys.argv[1])

async def add(engine, others):
    async with await database.session(engine) as session, database.begin_transaction(session):
        count = (await session.execute(sa.text("select count(*) from t"))).scalar_one()
        others.release()
        await asyncio.sleep(0.2)  # another one writes meanwhile, unless it has to wait
        await session.execute(sa.text("insert into t values (:n)"), {"n": count})

async def main():
    engine = await database.engine()
    async with engine.begin() as connection:
        await connection.execute(sa.text("create table t (n integer)"))
    gate = asyncio.Semaphore(0)
    ended = await asyncio.gather(*(add(engine, gate) for _ in range(3)), return_exceptions=True)
    async with engine.connect() as connection:
        found = (await connection.execute(sa.text("select n from t order by n"))).scalars().all()
    print(list(found), sum(isinstance(one, Exception) for one in ended))

asyncio.run(main())
"""


@pytest.mark.slow
def test_transactions_that_read_before_they_write_take_turns(tmp_path: Path) -> None:
    settings = environment(tmp_path, "http://127.0.0.1:9/api")
    url = f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}"
    ended = subprocess.run(
        [sys.executable, "-c", MEET, url],
        env={**os.environ, **settings},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ended.stdout.strip() == "[0, 1, 2] 0", "without turns the first writes and two are refused"
