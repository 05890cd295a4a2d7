"""Fills the demo's forum, as Open edX keeps it in a MongoDB, and changes it as an evening does.

Usage: forum.py fill|change URL
"""

import datetime
import sys

import pymongo
from bson import ObjectId

THREADS, ANSWERS, LEARNERS = 600, 3, 400
COURSES = [f"course-v1:MITxT+{number}.99x+1T2026" for number in (6, 8, 9, 14)]
BEGIN = datetime.datetime(2026, 1, 12, 8, 0, tzinfo=datetime.timezone.utc)


def moment(minutes: int) -> datetime.datetime:
    """So many minutes after the begin of term."""
    return BEGIN + datetime.timedelta(minutes=minutes)


def votes(learners: list) -> dict:
    """Who voted, as the forum keeps it."""
    return {"up": learners, "down": [], "count": len(learners), "point": len(learners)}


def thread(number: int) -> dict:
    """A question."""
    return {
        "_id": ObjectId(f"{number:024x}"),
        "_type": "CommentThread",
        "course_id": COURSES[number % len(COURSES)],
        "commentable_id": f"week-{number % 12 + 1}",
        "title": f"Question {number}",
        "body": "Where is the error? \N{THINKING FACE}",
        "author_id": str(number % LEARNERS),
        "thread_type": "question" if number % 3 else "discussion",
        "votes": votes([str(learner) for learner in range(number % 5)]),
        "comment_count": ANSWERS,
        "closed": False,
        "created_at": moment(number * 11),
        "last_activity_at": moment(number * 11 + 50),
    }


def comment(number: int) -> dict:
    """An answer."""
    parent = number // ANSWERS
    return {
        "_id": ObjectId(f"{THREADS + number:024x}"),
        "_type": "Comment",
        "course_id": COURSES[parent % len(COURSES)],
        "comment_thread_id": ObjectId(f"{parent:024x}"),
        "body": f"In line {number % 40}, I think.",
        "author_id": str((number * 7) % LEARNERS),
        "endorsed": number % 9 == 0,
        "votes": votes([]),
        "created_at": moment(parent * 11 + number % ANSWERS + 1),
    }


def fill(forum) -> None:
    """Threads, answers, users with their subscriptions and notifications."""
    forum.contents.insert_many([thread(number) for number in range(THREADS)])
    forum.contents.insert_many([comment(number) for number in range(THREADS * ANSWERS)])
    forum.users.insert_many(
        {"_id": str(number), "external_id": str(number), "username": f"learner{number}", "email": f"{number}@example.org"}
        for number in range(LEARNERS)
    )
    forum.subscriptions.insert_many(
        {"subscriber_id": str(number % LEARNERS), "source_id": f"{number:024x}", "source_type": "CommentThread"}
        for number in range(THREADS)
    )
    forum.notifications.insert_many(
        {"notification_type": "post_reply", "info": {"thread": f"{number:024x}"}, "created_at": moment(number * 11)}
        for number in range(THREADS)
    )


def change(forum) -> None:
    """Votes, closed threads, deleted answers, new ones with a field that nobody had."""
    forum.contents.update_many({"thread_type": "question", "comment_count": ANSWERS}, {"$set": {"closed": True}})
    forum.contents.delete_many({"endorsed": True})
    late = [comment(THREADS * ANSWERS + number) | {"anonymous_to_peers": True} for number in range(60)]
    forum.contents.insert_many(late)
    forum.users.update_one({"_id": "7"}, {"$set": {"email": "ada@example.org"}})
    forum.subscriptions.delete_many({"subscriber_id": "7"})


def main() -> int:
    """Does what is asked for."""
    what, url = sys.argv[1:]
    forum = pymongo.MongoClient(url, directConnection=True).get_default_database()
    {"fill": fill, "change": change}[what](forum)
    counts = ", ".join(f"{forum[name].count_documents({})} {name}" for name in sorted(forum.list_collection_names()))
    print(f"  {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
