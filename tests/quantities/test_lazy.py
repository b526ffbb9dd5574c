"""Reading a model must not cost the import of what only a conversion or a file needs."""

import subprocess
import sys


def test_rooms_of_the_lower_floors_import_quickly() -> None:
    code = (
        "import sys, nkloop.recipes, nkloop.inventory, nkloop.workspace, nkloop.yamlfile\n"
        "print(*sorted({'pint', 'ruamel.yaml', 'pandas', 'numpy', 'scipy', 'prefect'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
