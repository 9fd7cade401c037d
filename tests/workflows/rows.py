"""What tests of workflows look at and do with threads."""

import threading
from collections.abc import Callable

from shared.meta import database
from shared.meta.models import Run


def row(run_id: int) -> Run:
    """The run as it is in the database now."""
    return Run.get_by_id(run_id)


def at_once(*works: Callable[[], object]) -> None:
    """Do each in a thread with its own connection, all at once, and raise here what one raises."""
    raised: list[BaseException] = []
    together = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            with database.session():
                together.wait(10)
                work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    if raised:
        raise raised[0]
