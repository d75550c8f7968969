"""The files of a page as part of an address."""


class PageFile:
    """All files of a page but the page itself; nothing else below its address is taken, such as subscribing."""

    regex = (
        r"history|history\.(?:atom|rss)|status\.css|icon\.svg|logo|badge(?:\.[a-z]{2})?\.svg"
        r"|incidents/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        r"|api/v2/(?:summary|status|components|incidents|incidents/unresolved|scheduled-maintenances"
        r"|scheduled-maintenances/(?:upcoming|active))\.json"
    )

    def to_python(self, value):
        return value

    def to_url(self, value):
        return value
