"""Pages and the fragments of them."""


def test_a_fragment_that_is_named_twice_is_made_once(client, service, bob):
    client.force_login(bob)
    answer = client.get("/", headers={"X-Fragment": "duty,duty,,duty"})
    assert answer.content.decode().count('data-fragment="duty"') == 1


def test_a_fragment_that_the_page_does_not_have_is_no_page(client, service, bob):
    client.force_login(bob)
    assert client.get("/", headers={"X-Fragment": "nothing"}).status_code == 404
