"""Invalid and damaged input for brainclust.app.server."""

from types import SimpleNamespace

import pytest
from examples import stub_workbench
from hypothesis import given, strategies as st

from brainclust.app import server


@given(path=st.text(alphabet="/.\\%a2efpageslicetheme.css", max_size=40))
def test_paths_outside_the_web_app_are_closed(path):
    """Open no path that climbs out of the web app."""
    if server.is_open(path):
        assert ".." not in path
        assert "\\" not in path
        assert "//" not in path
    assert not server.is_open(f"/page/../{path}")
    assert not server.is_open(f"/file={path}")


@pytest.mark.parametrize("row", ["-1", "3", "99999999999", "²", "a", "0 ", "../0", "9" * 5000])
def test_addresses_of_missing_slices_are_not_found(row):
    """Respond with 404 to addresses of slices that do not exist."""
    routes = {
        route.path: route.endpoint for route in server.page_routes(stub_workbench(3, True, 0))
    }
    for path, values in (("/page/slice/{row}.png", {"row": row}),
                         ("/page/original/{row}.png", {"row": row}),
                         ("/page/pair/{number}/{side}.png", {"number": row, "side": "a"})):
        assert routes[path](SimpleNamespace(path_params=values)).status_code == 404
    assert (routes["/page/slice/{row}.png"](SimpleNamespace(path_params={"row": "2"})).status_code
            == 200)
    assert (
        routes["/page/pair/{number}/{side}.png"](
            SimpleNamespace(path_params={"number": "0", "side": "c"})
        ).status_code
        == 404
    )
